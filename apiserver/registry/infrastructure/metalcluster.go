package infrastructure

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func metalClusters() registry.Kind[*v1alpha3.MetalCluster] {
	return registry.Kind[*v1alpha3.MetalCluster]{
		Resource:       v1alpha3.GroupVersion.WithResource("metalclusters").GroupResource(),
		Singular:       "metalcluster",
		Namespaced:     true,
		Categories:     []string{category},
		New:            func() *v1alpha3.MetalCluster { return &v1alpha3.MetalCluster{} },
		NewList:        func() runtime.Object { return &v1alpha3.MetalClusterList{} },
		Older:          metalClusterVersions(),
		Spec:           func(c *v1alpha3.MetalCluster) any { return &c.Spec },
		Status:         func(c *v1alpha3.MetalCluster) any { return &c.Status },
		Validate:       validateMetalCluster,
		ValidateStatus: validateMetalClusterStatus,
		Columns: []registry.Column[*v1alpha3.MetalCluster]{
			clusterColumn[*v1alpha3.MetalCluster](0),
			{
				Name: "Ready", Type: "boolean", Description: "whether the infrastructure is there",
				Cell: func(c *v1alpha3.MetalCluster) any { return c.Status.Ready },
			},
			{
				Name: "Endpoint", Type: "string", Description: "where the cluster's API is reached", Priority: 1,
				Cell: func(c *v1alpha3.MetalCluster) any {
					if c.Spec.ControlPlaneEndpoint == nil {
						return nil
					}

					return registry.Text(c.Spec.ControlPlaneEndpoint.Host)
				},
			},
			registry.Age[*v1alpha3.MetalCluster](),
		},
	}
}

func metalClusterTemplates() registry.Kind[*v1alpha3.MetalClusterTemplate] {
	return registry.Kind[*v1alpha3.MetalClusterTemplate]{
		Resource:       v1alpha3.GroupVersion.WithResource("metalclustertemplates").GroupResource(),
		Singular:       "metalclustertemplate",
		Namespaced:     true,
		Categories:     []string{category},
		New:            func() *v1alpha3.MetalClusterTemplate { return &v1alpha3.MetalClusterTemplate{} },
		NewList:        func() runtime.Object { return &v1alpha3.MetalClusterTemplateList{} },
		Spec:           func(t *v1alpha3.MetalClusterTemplate) any { return &t.Spec },
		Validate:       validateMetalClusterTemplate,
		ValidateUpdate: metalClusterTemplateStays,
		Columns:        []registry.Column[*v1alpha3.MetalClusterTemplate]{registry.Age[*v1alpha3.MetalClusterTemplate]()},
	}
}

// clusterColumn is the name of the cluster that an object belongs to.
func clusterColumn[T registry.Object](priority int32) registry.Column[T] {
	return registry.Column[T]{
		Name: "Cluster", Type: "string", Description: "cluster that the object belongs to", Priority: priority,
		Cell: func(o T) any { return registry.Text(o.GetLabels()[clusterLabel]) },
	}
}

func metalClusterVersions() []registry.Spoke[*v1alpha3.MetalCluster] {
	return []registry.Spoke[*v1alpha3.MetalCluster]{
		registry.Older[*v1alpha3.MetalCluster, *v1alpha2.MetalCluster]{
			Version: v1alpha2.GroupVersion,
			New:     func() *v1alpha2.MetalCluster { return &v1alpha2.MetalCluster{} },
			NewList: func() runtime.Object { return &v1alpha2.MetalClusterList{} },
			Up:      metalClusterUp,
			Down:    metalClusterDown,
			Restore: func(to, from *v1alpha3.MetalCluster) {
				to.Status.Initialization = from.Status.Initialization
				to.Status.FailureDomains = from.Status.FailureDomains
				to.Status.Conditions = from.Status.Conditions

				if endpoint := from.Spec.ControlPlaneEndpoint; endpoint != nil && *endpoint == (v1alpha3.APIEndpoint{}) && to.Spec.ControlPlaneEndpoint == nil {
					to.Spec.ControlPlaneEndpoint = endpoint // v1alpha2 shows no empty endpoint
				}
			},
			Moved: []registry.Move{
				{From: "status.apiEndpoints"}, // says what the spec does
				{From: "spec.apiEndpoints", To: []string{"spec.controlPlaneEndpoint.host", "spec.controlPlaneEndpoint.port"}},
			},
		},
	}
}

func metalClusterUp(from *v1alpha2.MetalCluster, to *v1alpha3.MetalCluster) {
	to.Status.Ready = from.Status.Ready

	for _, endpoints := range [][]v1alpha2.APIEndpoint{from.Spec.APIEndpoints, from.Status.APIEndpoints} {
		if len(endpoints) > 0 {
			endpoint := v1alpha3.APIEndpoint(endpoints[0])
			to.Spec.ControlPlaneEndpoint = &endpoint

			return
		}
	}
}

func metalClusterDown(from *v1alpha3.MetalCluster, to *v1alpha2.MetalCluster) {
	to.Status.Ready = from.Status.Ready

	if endpoint := from.Spec.ControlPlaneEndpoint; endpoint != nil && *endpoint != (v1alpha3.APIEndpoint{}) {
		to.Spec.APIEndpoints = []v1alpha2.APIEndpoint{v1alpha2.APIEndpoint(*endpoint)}
		to.Status.APIEndpoints = []v1alpha2.APIEndpoint{v1alpha2.APIEndpoint(*endpoint)}
	}
}
