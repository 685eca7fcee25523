package nodes

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/metadata/events"
	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
)

// Reports keeps what machines say of themselves in their ServerBindings. It implements events.Machines.
type Reports struct {
	// Objects has ServerBindings, by Index.
	Objects client.Reader
	// Client reads and writes them, and reads MetalMachines, without a cache.
	Client client.Client
	// Hidden are networks whose addresses are left out.
	Hidden []netip.Prefix
	// Unattended knows which machines install themselves after their boot sequence has begun.
	Unattended *Unattended
	// Saw is told what a server's machine does now, in words. It must not block.
	Saw func(server, does string)
	Now func() time.Time
}

// At implements events.Machines.
func (r *Reports) At(ctx context.Context, tunnel netip.Addr) (events.Machine, error) {
	binding, err := r.sender(ctx, tunnel)
	if err != nil {
		return events.Machine{}, err
	}

	facts := events.Facts{Tunnel: tunnel, Hidden: r.Hidden, Unattended: r.Unattended.Of(ctx, binding)}

	return events.Machine{Server: binding.Name, Facts: facts}, nil
}

// Sender tells whose lines come from an address in the tunnel: nobody's if that is not known.
func (r *Reports) Sender(ctx context.Context, tunnel netip.Addr) logs.Sender {
	binding, err := r.sender(ctx, tunnel)
	if err != nil {
		return logs.Sender{}
	}

	ref := binding.Spec.MetalMachineRef
	from := logs.Sender{
		Server: binding.Name, Namespace: ref.Namespace, MetalMachine: ref.Name, Cluster: binding.Labels[clusterv1.ClusterNameLabel],
	}

	machine := &v1alpha3.MetalMachine{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, machine); err != nil {
		return from // the lines are better kept without the other names than not
	}

	if binding.IsOf(machine) {
		from.Machine, _ = metadata.OwningMachine(machine)
	}

	return from
}

// sender is the binding of the one machine that has an address in the tunnel. It must not be changed.
func (r *Reports) sender(ctx context.Context, tunnel netip.Addr) (*v1alpha3.ServerBinding, error) {
	found, err := bindings(ctx, r.Objects, byTunnel, tunnel.String())
	if err != nil {
		return nil, err
	}

	if len(found) != 1 {
		return nil, events.ErrUnknown
	}

	return &found[0], nil
}

// Keep implements events.Machines. What is known is read anew: a cache may not know yet what the last event said.
func (r *Reports) Keep(ctx context.Context, machine events.Machine, effect events.Effect) error {
	if effect.Step != "" {
		r.Saw(machine.Server, effect.Step)
	}

	if effect.Addressing == nil && !effect.Loaded && len(effect.Findings) == 0 {
		return nil
	}

	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return r.keep(ctx, machine, effect) })
	if apierrors.IsNotFound(err) {
		return nil // it is in use no more, and nobody wants to know
	}

	return err //nolint:wrapcheck // keep has wrapped it
}

func (r *Reports) keep(ctx context.Context, machine events.Machine, effect events.Effect) error {
	binding := &v1alpha3.ServerBinding{}
	if err := r.Client.Get(ctx, client.ObjectKey{Name: machine.Server}, binding); err != nil {
		return fmt.Errorf("read ServerBinding %s: %w", machine.Server, err)
	}

	if tunnelOf(binding.Spec.SideroLink) != machine.Facts.Tunnel {
		return nil // another machine has the server now
	}

	if wanted := binding.DeepCopy(); reached(&wanted.Spec, effect.Addressing) {
		if err := r.Client.Patch(ctx, wanted, locked(binding)); err != nil {
			return fmt.Errorf("write ServerBinding %s: %w", binding.Name, err)
		}

		binding = wanted
	}

	wanted := binding.DeepCopy()
	learn(&wanted.Status, effect, r.Now())

	if reflect.DeepEqual(wanted.Status, binding.Status) {
		return nil
	}

	if err := r.Client.Status().Patch(ctx, wanted, locked(binding)); err != nil {
		return fmt.Errorf("write status of ServerBinding %s: %w", binding.Name, err)
	}

	return nil
}

// locked is a patch that fails where others have written meanwhile: lists are written as a whole.
func locked(before client.Object) client.Patch {
	return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
}
