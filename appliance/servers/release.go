package servers

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Release takes a server back whose machine is gone, after a person has confirmed it, or has said yes before. While the machine
// is there it is the one to delete, and the error tells how.
func (p *Pool) Release(ctx context.Context, name string, yes bool) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		binding, err := p.binding(ctx, s.Name)
		if err != nil {
			return err
		}

		if binding == nil {
			return errors.New("it is not in use: there is nothing to take back")
		}

		machine, err := p.machine(ctx, binding)
		if err != nil {
			return err
		}

		if machine != nil && machine.DeletionTimestamp.IsZero() {
			return p.belongs(machine)
		}

		if !yes {
			fmt.Fprintf(p.Err, "%s\n%s\n", title(s), fate(binding, machine))

			if err := p.confirm(ctx, "release"); err != nil {
				return err
			}
		}

		return p.unbind(ctx, s, binding)
	})
}

// binding is the record of a server's use, nil if it is not in use.
func (p *Pool) binding(ctx context.Context, server string) (*v1alpha3.ServerBinding, error) {
	binding := &v1alpha3.ServerBinding{}
	if err := p.Client.Get(ctx, client.ObjectKey{Name: server}, binding); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil //nolint:nilnil // it is not in use
		}

		return nil, p.explain(fmt.Errorf("look whether it is in use: %w", err))
	}

	return binding, nil
}

// machine is the one that a server is allocated to, nil if it is gone.
func (p *Pool) machine(ctx context.Context, binding *v1alpha3.ServerBinding) (*v1alpha3.MetalMachine, error) {
	ref := binding.Spec.MetalMachineRef

	machine := &v1alpha3.MetalMachine{}
	if err := p.Client.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, machine); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil //nolint:nilnil // it is gone
		}

		return nil, p.explain(fmt.Errorf("look who uses it: %w", err))
	}

	if !binding.IsOf(machine) {
		return nil, nil //nolint:nilnil // it is gone: another one has its name by now, with another server
	}

	return machine, nil
}

// belongs tells how a server is taken back from a machine that is there.
func (p *Pool) belongs(machine *v1alpha3.MetalMachine) error {
	for _, owner := range machine.OwnerReferences {
		if owner.Kind == "Machine" {
			return fmt.Errorf("it belongs to Machine %s in namespace %s: delete that one, with \"%s delete machine %[1]s -n %[2]s\", and the server is taken back and wiped",
				owner.Name, machine.Namespace, p.Kubectl)
		}
	}

	return fmt.Errorf("it belongs to MetalMachine %s in namespace %s: delete that one, with \"%s delete metalmachine %[1]s -n %[2]s\", and the server is taken back and wiped",
		machine.Name, machine.Namespace, p.Kubectl)
}

// fate tells what is about to happen, for somebody to confirm.
func fate(binding *v1alpha3.ServerBinding, machine *v1alpha3.MetalMachine) string {
	gone := "is gone"
	if machine != nil {
		gone = "is being deleted"
	}

	ref := binding.Spec.MetalMachineRef

	return fmt.Sprintf("MetalMachine %s in namespace %s, which it is in use for, %s. The server is taken back and wiped: "+
		"what is on its disks is lost for ever.", printable(ref.Name), printable(ref.Namespace), gone)
}

// unbind deletes the record of a server's use, unless there is a newer one by now.
func (p *Pool) unbind(ctx context.Context, s *v1alpha2.Server, binding *v1alpha3.ServerBinding) error {
	p.say("delete serverbinding " + binding.Name)

	err := p.Client.Delete(ctx, binding, client.Preconditions{UID: &binding.UID})
	if err != nil && !apierrors.IsNotFound(err) {
		return p.explain(fmt.Errorf("delete its ServerBinding: %w", err))
	}

	p.tell(s, "taken back; it is wiped next")

	return nil
}
