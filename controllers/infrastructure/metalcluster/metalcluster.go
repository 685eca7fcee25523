// Package metalcluster tells Cluster API that the infrastructure of a cluster is there, which on bare metal it is from the start:
// nobody here makes its endpoint reachable.
package metalcluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// atOnce is how many clusters are worked on at the same time, as upstream.
const atOnce = 10

type reconciler struct{ client client.Client }

// SetupWithManager lets the controller run.
func SetupWithManager(m ctrl.Manager) error {
	r := &reconciler{m.GetClient()}

	err := ctrl.NewControllerManagedBy(m).
		Named("metalcluster").
		For(&v1alpha3.MetalCluster{}).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(ofCluster), builder.WithPredicates(contract.OwnerChanged())).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(changesDomains())).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add MetalCluster controller: %w", err)
	}

	return nil
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	object := &v1alpha3.MetalCluster{}
	if found, err := contract.Find(ctx, r.client, request.NamespacedName, object); !found {
		return reconcile.Result{}, err
	}

	cluster := &clusterv1.Cluster{}

	owned, err := contract.Owner(ctx, r.client, object, "Cluster", cluster)
	if err != nil {
		return reconcile.Result{}, err //nolint:wrapcheck // it names the object
	}

	// One without an owner goes as well: nothing is made for any.
	switch {
	case contract.Paused(object, cluster):
		return reconcile.Result{}, r.record(ctx, object, cluster, func(*v1alpha3.MetalClusterStatus) {})
	case !object.DeletionTimestamp.IsZero():
		return reconcile.Result{}, client.IgnoreNotFound(r.change(ctx, object, controllerutil.RemoveFinalizer))
	case owned:
		if err := r.change(ctx, object, controllerutil.AddFinalizer); err != nil {
			return reconcile.Result{}, err
		}
	}

	servers := &metal.ServerList{}
	if err := r.client.List(ctx, servers, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("list servers: %w", err)
	}

	return reconcile.Result{}, r.record(ctx, object, cluster, func(status *v1alpha3.MetalClusterStatus) {
		status.FailureDomains = domains(servers.Items)
		observe(status, owned)
	})
}

// observe writes whether the infrastructure is there; it never goes again.
func observe(status *v1alpha3.MetalClusterStatus, owned bool) {
	if !owned {
		status.Conditions = contract.Conditions(status.Conditions, contract.False(
			v1alpha3.ConditionReady, metal.SeverityInfo, v1alpha3.ReasonWaitingForOwner, "waits for its Cluster to own it",
		))

		return
	}

	status.Ready, status.Initialization = true, &v1alpha3.Initialization{Provisioned: ptr.To(true)}
	status.Conditions = contract.Conditions(status.Conditions, metal.Condition{Type: v1alpha3.ConditionReady, Status: corev1.ConditionTrue})
}

// change adds the finalizer, or removes it.
func (r *reconciler) change(ctx context.Context, object *v1alpha3.MetalCluster, do func(client.Object, string) bool) error {
	before := object.DeepCopy()
	if !do(object, v1alpha3.MetalClusterFinalizer) {
		return nil
	}

	if err := r.client.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write MetalCluster %s: %w", object.Name, err)
	}

	return nil
}

// record writes what a function changes in the status, and whether there is a pause.
func (r *reconciler) record(
	ctx context.Context, object *v1alpha3.MetalCluster, cluster *clusterv1.Cluster, do func(*v1alpha3.MetalClusterStatus),
) error {
	before, status := object.DeepCopy(), &object.Status

	do(status)

	status.Conditions = contract.Conditions(status.Conditions, contract.Pause(object, cluster))
	if apiequality.Semantic.DeepEqual(before.Status, *status) {
		return nil
	}

	if err := r.client.Status().Patch(ctx, object, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("write status of MetalCluster %s: %w", object.Name, err))
	}

	return nil
}

// ofCluster is the MetalCluster that a Cluster is made of.
func ofCluster(_ context.Context, o client.Object) []reconcile.Request {
	cluster, ok := o.(*clusterv1.Cluster)
	if !ok || cluster.Spec.InfrastructureRef.Kind != "MetalCluster" {
		return nil
	}

	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Spec.InfrastructureRef.Name}}}
}
