// Package serverbinding tells whether the server of a ServerBinding is there, and clears bindings whose machine is gone, so that
// their servers are wiped and clean again. What to do is decided by next.
package serverbinding

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
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
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/contract"
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
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster)).
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

	f, err := r.gather(ctx, binding)
	if err != nil {
		return reconcile.Result{}, err
	}

	decided := next(f)
	if decided.clear {
		return reconcile.Result{}, r.clear(ctx, binding)
	}

	if err := r.mark(ctx, binding, decided.mark); err != nil {
		return reconcile.Result{}, err
	}

	if decided.kept {
		r.events.Eventf(binding, nil, corev1.EventTypeWarning, "Server Kept", "Keep", "its machine went while the cluster was paused, as in a move; "+
			"the server may run on for it elsewhere: delete this binding to have the server wiped")
	}

	return reconcile.Result{RequeueAfter: decided.again}, r.record(ctx, binding, decided.ready)
}

func (r *reconciler) gather(ctx context.Context, binding *v1alpha3.ServerBinding) (facts, error) {
	f := facts{binding: binding, now: time.Now()}
	ref := binding.Spec.MetalMachineRef

	var err error
	if f.server, err = contract.Find(ctx, r.client, client.ObjectKey{Name: binding.Name}, &metal.Server{}); err != nil {
		return f, err //nolint:wrapcheck // it names the object
	}

	machine := &v1alpha3.MetalMachine{}
	key := client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}

	found, err := contract.Find(ctx, r.client, key, machine)
	if err == nil && (!found || machine.UID != ref.UID) {
		machine = &v1alpha3.MetalMachine{}
		found, err = contract.Find(ctx, r.live, key, machine)
	}

	if err != nil {
		return f, err //nolint:wrapcheck // it names the object
	}

	if found {
		f.machine = machine
	}

	name := binding.Labels[clusterv1.ClusterNameLabel]
	if name == "" {
		return f, nil
	}

	cluster := &clusterv1.Cluster{}
	if found, err = contract.Find(ctx, r.client, client.ObjectKey{Namespace: ref.Namespace, Name: name}, cluster); found {
		f.cluster = cluster
	}

	return f, err //nolint:wrapcheck // it names the object
}

// clear deletes a binding unless it has changed since it was looked at.
func (r *reconciler) clear(ctx context.Context, binding *v1alpha3.ServerBinding) error {
	only := client.Preconditions{UID: ptr.To(binding.UID), ResourceVersion: ptr.To(binding.ResourceVersion)}
	if err := client.IgnoreNotFound(r.client.Delete(ctx, binding, only)); err != nil {
		return fmt.Errorf("clear binding %s: %w", binding.Name, err)
	}

	ref := binding.Spec.MetalMachineRef
	r.events.Eventf(binding, nil, corev1.EventTypeNormal, "Server Allocation", "Clear", "MetalMachine %s/%s is gone: the server is no more allocated", ref.Namespace, ref.Name)

	return nil
}

func (r *reconciler) mark(ctx context.Context, binding *v1alpha3.ServerBinding, want bool) error {
	if _, marked := binding.Annotations[PausedAnnotation]; marked == want {
		return nil
	}

	before := binding.DeepCopy()
	if delete(binding.Annotations, PausedAnnotation); want {
		if binding.Annotations == nil {
			binding.Annotations = map[string]string{}
		}

		binding.Annotations[PausedAnnotation] = ""
	}

	if err := r.client.Patch(ctx, binding, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("mark binding %s: %w", binding.Name, err)
	}

	return nil
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

// ofCluster are the bindings of a Cluster.
func (r *reconciler) ofCluster(ctx context.Context, o client.Object) []reconcile.Request {
	bindings := &v1alpha3.ServerBindingList{}
	if err := r.client.List(ctx, bindings, client.MatchingLabels{clusterv1.ClusterNameLabel: o.GetName()}, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list bindings")

		return nil
	}

	var requests []reconcile.Request

	for i := range bindings.Items {
		if bindings.Items[i].Spec.MetalMachineRef.Namespace == o.GetNamespace() {
			requests = append(requests, request(bindings.Items[i].Name)...)
		}
	}

	return requests
}

func request(name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
}
