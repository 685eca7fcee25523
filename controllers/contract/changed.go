package contract

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// OwnerChanged lets those Clusters and Machines through in which something is new that a provider goes by: what is wanted of them, a
// pause, that they are being deleted, or which steps of a Cluster's start are done. Cluster API writes the rest of their status a
// dozen times for each machine that is made, and of that nobody here needs to hear.
func OwnerChanged() predicate.Predicate {
	started := predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return true },
		DeleteFunc:  func(event.DeleteEvent) bool { return true },
		GenericFunc: func(event.GenericEvent) bool { return true },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, is := e.ObjectOld.(*clusterv1.Cluster)
			now, isNow := e.ObjectNew.(*clusterv1.Cluster)

			return is && isNow && !apiequality.Semantic.DeepEqual(before.Status.Initialization, now.Status.Initialization)
		},
	}

	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, started)
}
