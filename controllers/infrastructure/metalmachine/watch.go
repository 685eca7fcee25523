package metalmachine

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
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
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/reset"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// SetupWithManager lets the controller run.
func SetupWithManager(m ctrl.Manager) error {
	r := &Reconciler{
		Client: m.GetClient(), Live: m.GetAPIReader(), Events: m.GetEventRecorder("caps-controller-manager"),
		Nodes: reset.NewNodes(m.GetAPIReader(), talosapi.Dial),
	}
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	owner := builder.WithPredicates(contract.OwnerChanged())

	err := ctrl.NewControllerManagedBy(m).
		Named("metalmachine").
		For(&v1alpha3.MetalMachine{}).
		Watches(&v1alpha3.ServerBinding{}, handler.EnqueueRequestsFromMapFunc(ofBinding)).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(ofMachine), owner).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster), owner).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(r.waiting), builder.WithPredicates(becomesFree())).
		Watches(&metal.Server{}, handler.EnqueueRequestsFromMapFunc(r.ofServer), builder.WithPredicates(tellsMore())).
		Watches(&metal.ServerClass{}, handler.EnqueueRequestsFromMapFunc(r.waiting), changed).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add MetalMachine controller: %w", err)
	}

	return nil
}

// becomesFree lets those servers through that can be had now, and could not before.
func becomesFree() predicate.Predicate {
	free := func(o client.Object) bool {
		s, ok := o.(*metal.Server)

		return ok && allocation.Obstacle(s, false) == ""
	}

	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return free(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return free(e.ObjectNew) && !free(e.ObjectOld) },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// tellsMore lets those servers through of which something is new that their machines tell as well.
func tellsMore() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, is := e.ObjectOld.(*metal.Server)
			now, isNow := e.ObjectNew.(*metal.Server)

			return is && isNow && (!apiequality.Semantic.DeepEqual(before.Status.Addresses, now.Status.Addresses) ||
				before.Labels[allocation.FailureDomainLabel] != now.Labels[allocation.FailureDomainLabel])
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// ofServer is the machine that a server is bound to.
func (r *Reconciler) ofServer(ctx context.Context, o client.Object) []reconcile.Request {
	binding := &v1alpha3.ServerBinding{}
	if found, err := contract.Find(ctx, r.Client, client.ObjectKey{Name: o.GetName()}, binding); !found {
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "cannot read binding")
		}

		return nil
	}

	return ofBinding(ctx, binding)
}

// ofBinding is the machine that a binding is of.
func ofBinding(_ context.Context, o client.Object) []reconcile.Request {
	binding, ok := o.(*v1alpha3.ServerBinding)
	if !ok {
		return nil
	}

	return request(binding.Spec.MetalMachineRef.Namespace, binding.Spec.MetalMachineRef.Name)
}

// ofMachine is the one that a Machine is made of.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	machine, ok := o.(*clusterv1.Machine)
	if !ok || machine.Spec.InfrastructureRef.Kind != "MetalMachine" {
		return nil
	}

	return request(machine.Namespace, machine.Spec.InfrastructureRef.Name)
}

// ofCluster are the machines of a Cluster.
func (r *Reconciler) ofCluster(ctx context.Context, o client.Object) []reconcile.Request {
	return r.machines(ctx, func(m *v1alpha3.MetalMachine) bool { return m.Labels[clusterv1.ClusterNameLabel] == o.GetName() }, client.InNamespace(o.GetNamespace()))
}

// waiting are the machines that have no server yet.
func (r *Reconciler) waiting(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.machines(ctx, func(m *v1alpha3.MetalMachine) bool { return m.Spec.ServerRef == nil })
}

func (r *Reconciler) machines(ctx context.Context, which func(*v1alpha3.MetalMachine) bool, options ...client.ListOption) []reconcile.Request {
	machines := &v1alpha3.MetalMachineList{}
	if err := r.Client.List(ctx, machines, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list machines")

		return nil
	}

	var requests []reconcile.Request

	for i := range machines.Items {
		if m := &machines.Items[i]; which(m) {
			requests = append(requests, request(m.Namespace, m.Name)...)
		}
	}

	return requests
}

func request(namespace, name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}}
}
