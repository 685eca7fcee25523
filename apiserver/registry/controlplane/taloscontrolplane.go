package controlplane

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func talosControlPlanes() registry.Kind[*v1alpha3.TalosControlPlane] {
	return registry.Kind[*v1alpha3.TalosControlPlane]{
		Resource:   v1alpha3.GroupVersion.WithResource("taloscontrolplanes").GroupResource(),
		Singular:   "taloscontrolplane",
		Namespaced: true,
		ShortNames: []string{"tcp"},
		Categories: []string{category},
		New:        func() *v1alpha3.TalosControlPlane { return &v1alpha3.TalosControlPlane{} },
		NewList:    func() runtime.Object { return &v1alpha3.TalosControlPlaneList{} },
		Spec:       func(p *v1alpha3.TalosControlPlane) any { return &p.Spec },
		Status:     func(p *v1alpha3.TalosControlPlane) any { return &p.Status },
		Scale: &registry.Scale[*v1alpha3.TalosControlPlane]{
			Replicas: func(p *v1alpha3.TalosControlPlane) **int64 { return &p.Spec.Replicas },
			Status:   func(p *v1alpha3.TalosControlPlane) (int64, string) { return p.Status.Replicas, p.Status.Selector },
		},
		Normalise: normalise,
		Validate:  validate,
		Doubt: func(p *v1alpha3.TalosControlPlane) field.ErrorList {
			return doubtConfig(p.Spec.ControlPlaneConfig, field.NewPath("spec", "controlPlaneConfig"))
		},
		ValidateStatus: func(p *v1alpha3.TalosControlPlane) field.ErrorList {
			return append(validateCounts(p.Status), metal.ValidateConditions(field.NewPath("status", "conditions"), p.Status.Conditions)...)
		},
		Columns: columns(),
	}
}

func columns() []registry.Column[*v1alpha3.TalosControlPlane] {
	return []registry.Column[*v1alpha3.TalosControlPlane]{
		{
			Name: "Ready", Type: "boolean", Description: "whether the API of the cluster answers",
			Cell: func(p *v1alpha3.TalosControlPlane) any { return p.Status.Ready },
		},
		{
			Name: "Initialized", Type: "boolean", Description: "whether the API of the cluster has answered once",
			Cell: func(p *v1alpha3.TalosControlPlane) any { return p.Status.Initialized },
		},
		{
			Name: "Replicas", Type: "integer", Description: "number of machines",
			Cell: func(p *v1alpha3.TalosControlPlane) any { return p.Status.Replicas },
		},
		{
			Name: "Ready Replicas", Type: "integer", Description: "number of machines that are ready",
			Cell: func(p *v1alpha3.TalosControlPlane) any { return p.Status.ReadyReplicas },
		},
		{
			Name: "Unavailable Replicas", Type: "integer", Description: "number of machines that are missing or not ready",
			Cell: func(p *v1alpha3.TalosControlPlane) any { return p.Status.UnavailableReplicas },
		},
		{
			Name: "Version", Type: "string", Description: "version of Kubernetes that is wanted", Priority: 1,
			Cell: func(p *v1alpha3.TalosControlPlane) any { return registry.Text(p.Spec.Version) },
		},
		registry.Age[*v1alpha3.TalosControlPlane](),
	}
}

func talosControlPlaneTemplates() registry.Kind[*v1alpha3.TalosControlPlaneTemplate] {
	return registry.Kind[*v1alpha3.TalosControlPlaneTemplate]{
		Resource:   v1alpha3.GroupVersion.WithResource("taloscontrolplanetemplates").GroupResource(),
		Singular:   "taloscontrolplanetemplate",
		Namespaced: true,
		ShortNames: []string{"tcpt"},
		Categories: []string{category},
		New:        func() *v1alpha3.TalosControlPlaneTemplate { return &v1alpha3.TalosControlPlaneTemplate{} },
		NewList:    func() runtime.Object { return &v1alpha3.TalosControlPlaneTemplateList{} },
		Spec:       func(t *v1alpha3.TalosControlPlaneTemplate) any { return &t.Spec },
		Normalise:  normaliseTemplate,
		Validate:   validateTemplate,
		Doubt: func(t *v1alpha3.TalosControlPlaneTemplate) field.ErrorList {
			return doubtConfig(t.Spec.Template.Spec.ControlPlaneConfig, field.NewPath("spec", "template", "spec", "controlPlaneConfig"))
		},
		ValidateUpdate: func(t, stored *v1alpha3.TalosControlPlaneTemplate) field.ErrorList {
			return registry.Fixed(t, t.Spec, stored.Spec, "make another template and refer to that one instead")
		},
		Columns: []registry.Column[*v1alpha3.TalosControlPlaneTemplate]{registry.Age[*v1alpha3.TalosControlPlaneTemplate]()},
	}
}
