package infrastructure

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func metalRemediations() registry.Kind[*v1alpha3.MetalRemediation] {
	return registry.Kind[*v1alpha3.MetalRemediation]{
		Resource:       v1alpha3.GroupVersion.WithResource("metalremediations").GroupResource(),
		Singular:       "metalremediation",
		Namespaced:     true,
		Categories:     []string{category},
		New:            func() *v1alpha3.MetalRemediation { return &v1alpha3.MetalRemediation{} },
		NewList:        func() runtime.Object { return &v1alpha3.MetalRemediationList{} },
		Spec:           func(r *v1alpha3.MetalRemediation) any { return &r.Spec },
		Status:         func(r *v1alpha3.MetalRemediation) any { return &r.Status },
		Validate:       func(r *v1alpha3.MetalRemediation) errorList { return validateStrategy(r.Spec, "spec", "strategy") },
		ValidateStatus: func(r *v1alpha3.MetalRemediation) errorList { return validateConditions(r.Status.Conditions) },
		Columns: []registry.Column[*v1alpha3.MetalRemediation]{
			{
				Name: "Phase", Type: "string", Description: "how far the remediation is",
				Cell: func(r *v1alpha3.MetalRemediation) any { return registry.Text(r.Status.Phase) },
			},
			{
				Name: "Tries", Type: "integer", Description: "how often it has been tried",
				Cell: func(r *v1alpha3.MetalRemediation) any { return r.Status.RetryCount },
			},
			clusterColumn[*v1alpha3.MetalRemediation](1),
			registry.Age[*v1alpha3.MetalRemediation](),
		},
	}
}

func metalRemediationTemplates() registry.Kind[*v1alpha3.MetalRemediationTemplate] {
	return registry.Kind[*v1alpha3.MetalRemediationTemplate]{
		Resource:   v1alpha3.GroupVersion.WithResource("metalremediationtemplates").GroupResource(),
		Singular:   "metalremediationtemplate",
		Namespaced: true,
		Categories: []string{category},
		New:        func() *v1alpha3.MetalRemediationTemplate { return &v1alpha3.MetalRemediationTemplate{} },
		NewList:    func() runtime.Object { return &v1alpha3.MetalRemediationTemplateList{} },
		Spec:       func(t *v1alpha3.MetalRemediationTemplate) any { return &t.Spec },
		Validate: func(t *v1alpha3.MetalRemediationTemplate) errorList {
			return append(validateTemplateMeta(t.Spec.Template.Metadata),
				validateStrategy(t.Spec.Template.Spec, "spec", "template", "spec", "strategy")...)
		},
		Columns: []registry.Column[*v1alpha3.MetalRemediationTemplate]{registry.Age[*v1alpha3.MetalRemediationTemplate]()},
	}
}
