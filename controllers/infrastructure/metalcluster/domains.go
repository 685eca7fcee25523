package metalcluster

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// domains are the failure domains of the servers that machines can be made of, by name. Any of them may have control plane
// machines: which servers these are made of is up to their class.
func domains(servers []metal.Server) []v1alpha3.FailureDomain {
	var all []v1alpha3.FailureDomain

	for i := range servers {
		if name := domain(&servers[i]); name != "" {
			all = append(all, v1alpha3.FailureDomain{Name: name, ControlPlane: ptr.To(true)})
		}
	}

	slices.SortFunc(all, func(a, b v1alpha3.FailureDomain) int { return cmp.Compare(a.Name, b.Name) })

	return slices.CompactFunc(all, func(a, b v1alpha3.FailureDomain) bool { return a.Name == b.Name })
}

// domain is the one that a server adds.
func domain(s *metal.Server) string {
	if !s.Spec.Accepted || !s.DeletionTimestamp.IsZero() {
		return ""
	}

	return s.Labels[allocation.FailureDomainLabel]
}

// changesDomains lets those servers through with which a failure domain comes or goes.
func changesDomains() predicate.Predicate {
	of := func(o client.Object) string {
		s, ok := o.(*metal.Server)
		if !ok {
			return ""
		}

		return domain(s)
	}

	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return of(e.Object) != "" },
		UpdateFunc: func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool {
			return e.Object.GetLabels()[allocation.FailureDomainLabel] != ""
		},
	}
}

// all are the MetalClusters: each can have machines of any server.
func (r *reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	clusters := &v1alpha3.MetalClusterList{}
	if err := r.client.List(ctx, clusters, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list MetalClusters")

		return nil
	}

	requests := make([]reconcile.Request, len(clusters.Items))
	for i := range clusters.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&clusters.Items[i])
	}

	return requests
}
