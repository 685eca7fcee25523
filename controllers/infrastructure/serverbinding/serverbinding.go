// Package serverbinding tells whether the server of a ServerBinding is there, and whether the machine that it was made for is
// gone. It deletes none, because that has a server wiped: the cluster may have been moved elsewhere, or restored from a backup
// that lacks its machines. A person decides.
package serverbinding

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// atOnce is how many bindings are worked on at the same time, as upstream.
const atOnce = 10

type reconciler struct {
	client client.Client
	// live reads what is: a machine that the cache does not know yet is not gone.
	live   client.Reader
	events events.EventRecorder
}

// SetupWithManager lets the controller run.
func SetupWithManager(m ctrl.Manager) error {
	r := &reconciler{m.GetClient(), m.GetAPIReader(), m.GetEventRecorder("caps-controller-manager")}
	comesOrGoes := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }})

	err := ctrl.NewControllerManagedBy(m).
		Named("serverbinding").
		For(&v1alpha3.ServerBinding{}).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(ofServer), comesOrGoes).
		Watches(&v1alpha3.MetalMachine{}, handler.EnqueueRequestsFromMapFunc(ofMachine)).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add ServerBinding controller: %w", err)
	}

	return nil
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	binding := &v1alpha3.ServerBinding{}
	if found, err := contract.Find(ctx, r.client, request.NamespacedName, binding); !found {
		return reconcile.Result{}, err
	}

	machine, err := r.machine(ctx, binding.Spec.MetalMachineRef)
	if err != nil {
		return reconcile.Result{}, err
	}

	if orphan(binding, machine) {
		ref := binding.Spec.MetalMachineRef
		r.events.Eventf(binding, nil, corev1.EventTypeWarning, "Server Allocation", "Keep", "MetalMachine %s/%s is gone and has not given its server "+
			"back: the server is left as it is; \"sidero-appliance release %s\" has it wiped and given to others", ref.Namespace, ref.Name, binding.Name)
	}

	server, err := contract.Find(ctx, r.client, client.ObjectKey{Name: binding.Name}, &metal.Server{})
	if err != nil {
		return reconcile.Result{}, err //nolint:wrapcheck // it names the object
	}

	return reconcile.Result{}, r.record(ctx, binding, server)
}

// machine is the one of that name, nil when there is none.
func (r *reconciler) machine(ctx context.Context, ref corev1.ObjectReference) (*v1alpha3.MetalMachine, error) {
	if ref.Name == "" {
		return nil, nil //nolint:nilnil // there is none
	}

	key := client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}

	for _, reader := range []client.Reader{r.client, r.live} {
		machine := &v1alpha3.MetalMachine{}
		if found, err := contract.Find(ctx, reader, key, machine); err != nil || found && machine.UID == ref.UID || found && reader == r.live {
			return machine, err //nolint:wrapcheck // it names the object
		}
	}

	return nil, nil //nolint:nilnil // there is none
}

func (r *reconciler) record(ctx context.Context, binding *v1alpha3.ServerBinding, ready bool) error {
	if binding.Status.Ready == ready {
		return nil
	}

	before := binding.DeepCopy()

	binding.Status.Ready = ready
	if err := r.client.Status().Patch(ctx, binding, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("write status of ServerBinding %s: %w", binding.Name, err)
	}

	return nil
}

// ofServer is the binding of a server, which has its name.
func ofServer(_ context.Context, o client.Object) []reconcile.Request { return request(o.GetName()) }

// ofMachine is the binding of a machine that has a server.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	machine, ok := o.(*v1alpha3.MetalMachine)
	if !ok || machine.Spec.ServerRef == nil || machine.Spec.ServerRef.Name == "" {
		return nil
	}

	return request(machine.Spec.ServerRef.Name)
}

func request(name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
}
