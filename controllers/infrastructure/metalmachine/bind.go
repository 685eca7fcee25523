package metalmachine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// Reasons of Events, which are upstream's.
const (
	eventAllocation = "Server Allocation"
	eventAssignment = "Server Assignment"
)

// binding finds the machine's, or makes one.
func (r *Reconciler) binding(ctx context.Context, f facts) (*v1alpha3.ServerBinding, error) {
	if ref := f.machine.Spec.ServerRef; ref != nil && ref.Name != "" {
		return r.assign(ctx, f.machine, ref.Name)
	}

	own, err := r.bindingsOf(ctx, f.machine)
	if err != nil {
		return nil, err
	}

	if len(own) > 0 {
		return own[0], nil
	}

	return r.allocate(ctx, f)
}

// assign binds the server that the machine names.
func (r *Reconciler) assign(ctx context.Context, machine *v1alpha3.MetalMachine, name string) (*v1alpha3.ServerBinding, error) {
	binding, err := r.find(ctx, name)
	if err != nil {
		return nil, err
	}

	server := &metal.Server{}

	found, err := contract.Find(ctx, r.Live, client.ObjectKey{Name: name}, server)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the object
	}

	if !found {
		server = nil
	}

	if err := allocation.Named(name, server, machine, binding); err != nil {
		return nil, &waitingError{v1alpha3.ReasonServerNotAvailable, err}
	}

	if binding != nil {
		return binding, nil
	}

	binding = newBinding(machine, name)
	if err := r.Client.Create(ctx, binding); err != nil {
		return nil, fmt.Errorf("bind server %s: %w", name, err) // whose it has become is seen the next time
	}

	r.Events.Eventf(server, machine, corev1.EventTypeNormal, eventAssignment, "Bind", "bound to MetalMachine %s/%s", machine.Namespace, machine.Name)

	return binding, nil
}

// allocate takes a server from the machine's class: the best of the candidates that nobody else takes.
func (r *Reconciler) allocate(ctx context.Context, f facts) (*v1alpha3.ServerBinding, error) {
	want, pool, err := r.pool(ctx, f)
	if err != nil {
		return nil, err
	}

	for tried := map[string]bool{}; ; {
		name, err := r.claims.claim(f.machine, func(others []v1alpha3.ServerBinding) (string, error) {
			pool.Claims = others

			return best(want, pool, tried)
		})
		if err != nil {
			return nil, &waitingError{v1alpha3.ReasonNoServerFits, err}
		}

		if binding, err := r.take(ctx, f.machine, name); binding != nil || err != nil {
			return binding, err
		}

		tried[name] = true
	}
}

// best is the best candidate that was not tried.
func best(want allocation.Want, pool allocation.Pool, tried map[string]bool) (string, error) {
	candidates, err := allocation.Candidates(want, pool)
	if err != nil {
		return "", err //nolint:wrapcheck // it is for people
	}

	at := slices.IndexFunc(candidates, func(name string) bool { return !tried[name] })
	if at < 0 {
		return "", fmt.Errorf("class %s has no server that is still free: others were faster", want.Class)
	}

	return candidates[at], nil
}

// pool is what the machine wants, and what there is.
func (r *Reconciler) pool(ctx context.Context, f facts) (want allocation.Want, pool allocation.Pool, err error) {
	class := &metal.ServerClass{}
	name := f.machine.Spec.ServerClassRef.Name

	found, err := contract.Find(ctx, r.Client, client.ObjectKey{Name: name}, class)
	if err != nil {
		return want, pool, err //nolint:wrapcheck // it names the object
	}

	if !found {
		return want, pool, &waitingError{v1alpha3.ReasonClassNotFound, fmt.Errorf("there is no ServerClass %s; make it, or name another", name)}
	}

	matcher, err := membership.NewMatcher(class.Spec)
	if err != nil {
		return want, pool, &waitingError{v1alpha3.ReasonClassNotUnderstood, fmt.Errorf("class %s cannot be understood: %w", name, err)}
	}

	servers, bindings := &metal.ServerList{}, &v1alpha3.ServerBindingList{}
	if err := r.Client.List(ctx, servers, client.UnsafeDisableDeepCopy); err != nil {
		return want, pool, fmt.Errorf("list servers: %w", err)
	}

	if err := r.Client.List(ctx, bindings, client.UnsafeDisableDeepCopy); err != nil {
		return want, pool, fmt.Errorf("list bindings: %w", err)
	}

	want = allocation.Want{Class: name, Judge: matcher.Judge, Domain: f.owner.Spec.FailureDomain, Peer: peersOf(f.machine)}

	return want, allocation.Pool{Servers: servers.Items, Bindings: bindings.Items}, nil
}

// peersOf tells the bindings of the machines that one should be apart from: of its cluster, those that do the same in it.
func peersOf(machine *v1alpha3.MetalMachine) func(*v1alpha3.ServerBinding) bool {
	same := func(b *v1alpha3.ServerBinding, label string) bool {
		is, ok := b.Labels[label]
		want, wanted := machine.Labels[label]

		return ok == wanted && is == want
	}

	return func(b *v1alpha3.ServerBinding) bool {
		return b.Spec.MetalMachineRef.Namespace == machine.Namespace && same(b, clusterv1.ClusterNameLabel) &&
			same(b, clusterv1.MachineControlPlaneLabel) && same(b, clusterv1.MachineDeploymentNameLabel)
	}
}

// take binds a server that the machine has claimed; there is no binding, and no claim, when somebody else has it, or it has changed.
func (r *Reconciler) take(ctx context.Context, machine *v1alpha3.MetalMachine, name string) (*v1alpha3.ServerBinding, error) {
	server := &metal.Server{}

	found, err := contract.Find(ctx, r.Live, client.ObjectKey{Name: name}, server)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the object
	}

	if !found || allocation.Obstacle(server, false) != "" {
		r.claims.drop(machine.UID)

		return nil, nil //nolint:nilnil // as told
	}

	binding := newBinding(machine, name)

	err = r.Client.Create(ctx, binding)
	if apierrors.IsAlreadyExists(err) {
		binding, err = r.find(ctx, name)
		if err == nil && (binding == nil || !binding.IsOf(machine)) {
			r.claims.drop(machine.UID)

			return nil, nil //nolint:nilnil // as told
		}
	}

	if err != nil {
		return nil, fmt.Errorf("bind server %s: %w", name, err)
	}

	r.Events.Eventf(server, machine, corev1.EventTypeNormal, eventAllocation, "Bind", "taken from class %s for MetalMachine %s/%s",
		machine.Spec.ServerClassRef.Name, machine.Namespace, machine.Name)

	return binding, nil
}

// newBinding has the name of the server, and the labels of the machine. The class stays known when the binding is made again, as
// after a move.
func newBinding(machine *v1alpha3.MetalMachine, server string) *v1alpha3.ServerBinding {
	return &v1alpha3.ServerBinding{
		ObjectMeta: metav1.ObjectMeta{Name: server, Labels: maps.Clone(machine.Labels)},
		Spec: v1alpha3.ServerBindingSpec{
			MetalMachineRef: corev1.ObjectReference{Kind: "MetalMachine", UID: machine.UID, Namespace: machine.Namespace, Name: machine.Name},
			ServerClassRef:  machine.Spec.ServerClassRef.DeepCopy(),
		},
	}
}
