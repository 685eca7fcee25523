package clusterapi

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// beginnings are the kinds that are reconciled for their own sake, and those with finalizers that only the reconcilers
// remove, which may outlive their cluster.
func beginnings() []schema.GroupVersionResource {
	kinds := []schema.GroupVersionResource{addonsv1.GroupVersion.WithResource("clusterresourcesets")}
	for _, name := range []string{"clusters", "clusterclasses", "machines", "machinesets", "machinedeployments", "machinepools"} {
		kinds = append(kinds, clusterv1.GroupVersion.WithResource(name))
	}

	return kinds
}
