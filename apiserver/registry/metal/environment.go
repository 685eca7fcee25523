package metal

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func environments() registry.Kind[*v1alpha2.Environment] {
	return registry.Kind[*v1alpha2.Environment]{
		Resource:   v1alpha2.GroupVersion.WithResource("environments").GroupResource(),
		Singular:   "environment",
		Categories: []string{category},
		New:        func() *v1alpha2.Environment { return &v1alpha2.Environment{} },
		NewList:    func() runtime.Object { return &v1alpha2.EnvironmentList{} },
		Older:      environmentVersions(),
		Spec:       func(e *v1alpha2.Environment) any { return &e.Spec },
		Status:     func(e *v1alpha2.Environment) any { return &e.Status },
		Validate:   validateEnvironment, ValidateStatus: validateEnvironmentStatus,
		Columns: []registry.Column[*v1alpha2.Environment]{
			{
				Name: "Kernel", Type: "string", Description: "the kernel for the environment",
				Cell: func(e *v1alpha2.Environment) any { return registry.Text(e.Spec.Kernel.URL) },
			},
			{
				Name: "Initrd", Type: "string", Description: "the initial RAM disk for the environment",
				Cell: func(e *v1alpha2.Environment) any { return registry.Text(e.Spec.Initrd.URL) },
			},
			{
				Name: "Ready", Type: "string", Description: "whether the files can be served", Cell: environmentReady,
			},
			registry.Age[*v1alpha2.Environment](),
		},
	}
}

// environmentReady is the status of the first Ready condition, as upstream's column shows it.
func environmentReady(e *v1alpha2.Environment) any {
	for _, c := range e.Status.Conditions {
		if c.Type == v1alpha2.AssetConditionReady {
			return registry.Text(c.Status)
		}
	}

	return nil
}
