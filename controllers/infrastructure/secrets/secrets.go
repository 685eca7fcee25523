// Package secrets keeps the secrets of clusters, which are the Talos bootstrap provider's to make, while there are nodes that nothing
// but these secrets has restart: those of servers whose power nothing controls. See package reset.
//
// A Secret that is deleted too early, as with its namespace, goes when the last such machine has given its server back, and after
// some minutes whatever is so.
package secrets

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/reset"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// Finalizer keeps a Secret.
const Finalizer = "metal.sidero.dev/node-reset"

type reconciler struct {
	client client.Client
	// known are the Secrets' names, labels and finalizers, and never what is in them.
	known client.Reader
}

// SetupWithManager lets the controller run. The manager remembers what Cache says.
func SetupWithManager(m ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(m).
		Named("clustersecrets").
		For(&corev1.Secret{}, builder.OnlyMetadata, builder.WithPredicates(predicate.NewPredicateFuncs(isOfCluster))).
		Watches(&v1alpha3.MetalMachine{}, handler.EnqueueRequestsFromMapFunc(ofMachine), builder.WithPredicates(changesNeed())).
		Complete(&reconciler{m.GetClient(), m.GetCache()})
	if err != nil {
		return fmt.Errorf("add controller of secrets: %w", err)
	}

	return nil
}

// Cache has a manager remember of Secrets no more than those of clusters: the controller asks for nothing but their metadata.
func Cache(o *cache.Options) {
	if o.ByObject == nil {
		o.ByObject = map[client.Object]cache.ByObject{}
	}

	labelled := labels.NewSelector()
	if exists, err := labels.Parse(clusterv1.ClusterNameLabel); err == nil { // it is a constant
		labelled = exists
	}

	o.ByObject[&corev1.Secret{}] = cache.ByObject{Label: labelled}
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))

	if found, err := contract.Find(ctx, r.known, request.NamespacedName, secret); !found || !isOfCluster(secret) {
		return reconcile.Result{}, err
	}

	f := facts{now: time.Now(), held: controllerutil.ContainsFinalizer(secret, Finalizer)}
	if deleted := secret.DeletionTimestamp; deleted != nil {
		f.deleted = deleted.Time
	}

	var err error
	if f.needed, err = r.needed(ctx, secret); err != nil {
		return reconcile.Result{}, err
	}

	action, after := next(f)
	before := secret.DeepCopy()

	switch action {
	case hold:
		controllerutil.AddFinalizer(secret, Finalizer)
	case release:
		controllerutil.RemoveFinalizer(secret, Finalizer)
	case leave:
		return reconcile.Result{RequeueAfter: after}, nil
	}

	if err := r.client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("keep Secret %s, or let it go: %w", secret.Name, err))
	}

	return reconcile.Result{}, nil
}

// needed tells whether a machine of the cluster has a server that is given back by its secrets.
func (r *reconciler) needed(ctx context.Context, secret client.Object) (bool, error) {
	machines := &v1alpha3.MetalMachineList{}

	err := r.client.List(ctx, machines, client.UnsafeDisableDeepCopy, client.InNamespace(secret.GetNamespace()),
		client.MatchingLabels{clusterv1.ClusterNameLabel: secret.GetLabels()[clusterv1.ClusterNameLabel]})
	if err != nil {
		return false, fmt.Errorf("list machines: %w", err)
	}

	for i := range machines.Items {
		name := serverOf(&machines.Items[i])
		if name == "" {
			continue
		}

		server := &metal.Server{}
		if found, err := contract.Find(ctx, r.client, client.ObjectKey{Name: name}, server); err != nil || found && !reset.Controlled(server) {
			return err == nil, err //nolint:wrapcheck // it names the object
		}
	}

	return false, nil
}

// serverOf is what a machine has, and gives back when it goes.
func serverOf(m *v1alpha3.MetalMachine) string {
	if m.Spec.ServerRef == nil || !controllerutil.ContainsFinalizer(m, v1alpha3.MetalMachineFinalizer) {
		return ""
	}

	return m.Spec.ServerRef.Name
}

// isOfCluster tells whether a Secret is that with the secrets of a cluster.
func isOfCluster(o client.Object) bool {
	cluster := o.GetLabels()[clusterv1.ClusterNameLabel]

	return cluster != "" && o.GetName() == cluster+machineconfig.SecretsSuffix
}

// ofMachine are the secrets of a machine's cluster.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	cluster := o.GetLabels()[clusterv1.ClusterNameLabel]
	if cluster == "" {
		return nil
	}

	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: cluster + machineconfig.SecretsSuffix}}}
}

// changesNeed lets those machines through that get a server, or give it back.
func changesNeed() predicate.Predicate {
	of := func(o client.Object) string {
		m, ok := o.(*v1alpha3.MetalMachine)
		if !ok {
			return ""
		}

		return serverOf(m)
	}

	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return of(e.Object) != "" },
		UpdateFunc: func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) },
		DeleteFunc: func(event.DeleteEvent) bool { return true },
	}
}
