// Package metalmachine gives MetalMachines their servers, and takes them back. What to do is decided by next, and which server it
// is by package allocation. Who creates the ServerBinding of a server, which has its name, has the server.
package metalmachine

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/reset"
)

const (
	// atOnce is how many machines are worked on at the same time, as upstream.
	atOnce = 10
	// looksAgainAfter is how soon what is waited for is looked at again, as upstream, besides what changes tell.
	looksAgainAfter = 20 * time.Second
)

// Reconciler is the controller.
type Reconciler struct {
	Client client.Client
	// Live reads what is, and not what was: by the cache a server may be free that no longer is.
	Live   client.Reader
	Events events.EventRecorder
	// Nodes are those of the clusters: some have to restart by their own API when their machine goes.
	Nodes *reset.Nodes

	claims claims
}

// waitingError tells what has to happen before a machine has its server.
type waitingError struct {
	reason string
	error
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	machine := &v1alpha3.MetalMachine{}
	if found, err := contract.Find(ctx, r.Client, request.NamespacedName, machine); !found {
		return reconcile.Result{}, err
	}

	f, err := r.gather(ctx, machine)
	if err != nil {
		return reconcile.Result{}, err
	}

	switch decided := next(f); decided.action {
	case release:
		return r.release(ctx, f)
	case wait:
		return reconcile.Result{RequeueAfter: looksAgainAfter}, r.record(ctx, f, func(status *v1alpha3.MetalMachineStatus) {
			tell(status, contract.False(v1alpha3.ConditionServerBound, metal.SeverityInfo, decided.reason, decided.message))
		})
	case bind:
		return r.bind(ctx, f)
	default: // it is left alone, and that is told
		return reconcile.Result{}, r.record(ctx, f, func(*v1alpha3.MetalMachineStatus) {})
	}
}

// gather finds the Machine and the Cluster of a machine; the latter by the label as well, because a pause holds for what has lost
// its Machine.
func (r *Reconciler) gather(ctx context.Context, machine *v1alpha3.MetalMachine) (facts, error) {
	f := facts{machine: machine}
	name := machine.Labels[clusterv1.ClusterNameLabel]

	owner := &clusterv1.Machine{}

	found, err := contract.Owner(ctx, r.Client, machine, "Machine", owner)
	if err != nil {
		return f, err //nolint:wrapcheck // it names the object
	}

	if found {
		f.owner, name = owner, owner.Spec.ClusterName
	}

	if name == "" {
		return f, nil
	}

	cluster := &clusterv1.Cluster{}
	if found, err = contract.Find(ctx, r.Client, client.ObjectKey{Namespace: machine.Namespace, Name: name}, cluster); found {
		f.cluster = cluster
	}

	return f, err //nolint:wrapcheck // it names the object
}

// bind sees to it that a machine has its server, and writes what is known.
func (r *Reconciler) bind(ctx context.Context, f facts) (reconcile.Result, error) {
	if err := r.hold(ctx, f.machine); err != nil {
		return reconcile.Result{}, err
	}

	binding, err := r.binding(ctx, f)

	var waiting *waitingError
	if errors.As(err, &waiting) {
		return reconcile.Result{RequeueAfter: looksAgainAfter}, r.record(ctx, f, func(status *v1alpha3.MetalMachineStatus) {
			tell(status, contract.False(v1alpha3.ConditionServerBound, metal.SeverityWarning, waiting.reason, waiting.Error()))
		})
	}

	if err != nil {
		return reconcile.Result{}, err
	}

	if err := r.name(ctx, f.machine, binding.Name); err != nil {
		return reconcile.Result{}, err
	}

	server := &metal.Server{}
	if _, err := contract.Find(ctx, r.Client, client.ObjectKey{Name: binding.Name}, server); err != nil {
		return reconcile.Result{}, err //nolint:wrapcheck // it names the object
	}

	endpoint := ""
	if f.cluster != nil {
		endpoint = f.cluster.Spec.ControlPlaneEndpoint.Host
	}

	return reconcile.Result{}, r.record(ctx, f, func(status *v1alpha3.MetalMachineStatus) { bound(status, binding, server, endpoint) })
}

// hold sets the finalizer, before there is a binding to be deleted with the machine.
func (r *Reconciler) hold(ctx context.Context, machine *v1alpha3.MetalMachine) error {
	return r.change(ctx, machine, func() { controllerutil.AddFinalizer(machine, v1alpha3.MetalMachineFinalizer) })
}

// name writes which server the machine has.
func (r *Reconciler) name(ctx context.Context, machine *v1alpha3.MetalMachine, server string) error {
	return r.change(ctx, machine, func() {
		machine.Spec.ProviderID = ptr.To("sidero://" + server)

		if machine.Spec.ServerRef == nil || machine.Spec.ServerRef.Name != server {
			machine.Spec.ServerRef = &corev1.ObjectReference{Kind: "Server", Name: server}
		}
	})
}

// change writes what a function changes in metadata and spec, unless the machine has been changed by others meanwhile.
func (r *Reconciler) change(ctx context.Context, machine *v1alpha3.MetalMachine, do func()) error {
	before := machine.DeepCopy()
	if do(); apiequality.Semantic.DeepEqual(before, machine) {
		return nil
	}

	if err := r.Client.Patch(ctx, machine, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write MetalMachine %s: %w", machine.Name, err)
	}

	return nil
}

// record writes what a function changes in the status, and whether there is a pause, unless others have written meanwhile: the conditions
// are not this controller's alone. Of a problem that is new people are told.
func (r *Reconciler) record(ctx context.Context, f facts, do func(*v1alpha3.MetalMachineStatus)) error {
	machine := f.machine
	before, status := machine.DeepCopy(), &machine.Status

	do(status)

	status.Conditions = contract.Conditions(status.Conditions, contract.Pause(machine, f.cluster))
	if apiequality.Semantic.DeepEqual(before.Status, *status) {
		return nil
	}

	err := r.Client.Status().Patch(ctx, machine, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return client.IgnoreNotFound(fmt.Errorf("write status of MetalMachine %s: %w", machine.Name, err))
	}

	was, _ := before.Status.Conditions.Find(v1alpha3.ConditionServerBound)

	is, _ := machine.Status.Conditions.Find(v1alpha3.ConditionServerBound)
	if is.Severity == metal.SeverityWarning && (is.Reason != was.Reason || is.Message != was.Message) {
		r.Events.Eventf(machine, nil, corev1.EventTypeWarning, is.Reason, "Bind", "%s", is.Message)
	}

	return nil
}

// find reads a binding as it is; nil when there is none.
func (r *Reconciler) find(ctx context.Context, name string) (*v1alpha3.ServerBinding, error) {
	binding := &v1alpha3.ServerBinding{}
	if found, err := contract.Find(ctx, r.Live, client.ObjectKey{Name: name}, binding); !found {
		return nil, err //nolint:wrapcheck // it names the object
	}

	return binding, nil
}

// bindingsOf are those of a machine: by what it names, by what it tried to take, and by what the cache knows.
func (r *Reconciler) bindingsOf(ctx context.Context, machine *v1alpha3.MetalMachine) ([]*v1alpha3.ServerBinding, error) {
	names := map[string]bool{}
	if machine.Spec.ServerRef != nil {
		names[machine.Spec.ServerRef.Name] = true
	}

	names[r.claims.of(machine.UID)] = true

	known := &v1alpha3.ServerBindingList{}
	if err := r.Client.List(ctx, known, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list bindings: %w", err)
	}

	for i := range known.Items {
		if known.Items[i].IsOf(machine) {
			names[known.Items[i].Name] = true
		}
	}

	delete(names, "")

	var bindings []*v1alpha3.ServerBinding

	for name := range names {
		binding, err := r.find(ctx, name)
		if err != nil {
			return nil, err
		}

		if binding != nil && binding.IsOf(machine) {
			bindings = append(bindings, binding)
		}
	}

	return bindings, nil
}
