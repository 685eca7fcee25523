package bootstrap

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func talosConfigs() registry.Kind[*v1alpha3.TalosConfig] {
	return registry.Kind[*v1alpha3.TalosConfig]{
		Resource:   v1alpha3.GroupVersion.WithResource("talosconfigs").GroupResource(),
		Singular:   "talosconfig",
		Namespaced: true,
		Categories: []string{category},
		New:        func() *v1alpha3.TalosConfig { return &v1alpha3.TalosConfig{} },
		NewList:    func() runtime.Object { return &v1alpha3.TalosConfigList{} },
		Spec:       func(c *v1alpha3.TalosConfig) any { return &c.Spec },
		Status:     func(c *v1alpha3.TalosConfig) any { return &c.Status },
		Normalise:  func(c *v1alpha3.TalosConfig) []string { return Settle(c.Spec, field.NewPath("spec")) },
		Validate:   func(c *v1alpha3.TalosConfig) field.ErrorList { return ValidateSpec(c.Spec, field.NewPath("spec")) },
		Doubt:      func(c *v1alpha3.TalosConfig) field.ErrorList { return Doubt(c.Spec, field.NewPath("spec")) },
		ValidateUpdate: func(c, stored *v1alpha3.TalosConfig) field.ErrorList {
			return registry.Fixed(c, c.Spec, stored.Spec, "machines are made again to get another configuration")
		},
		ValidateStatus: func(c *v1alpha3.TalosConfig) field.ErrorList {
			return metal.ValidateConditions(field.NewPath("status", "conditions"), c.Status.Conditions)
		},
		Columns: []registry.Column[*v1alpha3.TalosConfig]{
			{
				Name: "Type", Type: "string", Description: "role of the node",
				Cell: func(c *v1alpha3.TalosConfig) any { return registry.Text(string(c.Spec.GenerateType)) },
			},
			{
				Name: "Ready", Type: "boolean", Description: "whether the Secret with the machine configuration is there",
				Cell: func(c *v1alpha3.TalosConfig) any { return c.Status.Ready },
			},
			{
				Name: "Data Secret", Type: "string", Description: "Secret with the machine configuration", Priority: 1,
				Cell: func(c *v1alpha3.TalosConfig) any {
					if c.Status.DataSecretName == nil {
						return nil
					}

					return registry.Text(*c.Status.DataSecretName)
				},
			},
			registry.Age[*v1alpha3.TalosConfig](),
		},
	}
}

func talosConfigTemplates() registry.Kind[*v1alpha3.TalosConfigTemplate] {
	path := field.NewPath("spec", "template")

	return registry.Kind[*v1alpha3.TalosConfigTemplate]{
		Resource:   v1alpha3.GroupVersion.WithResource("talosconfigtemplates").GroupResource(),
		Singular:   "talosconfigtemplate",
		Namespaced: true,
		Categories: []string{category},
		New:        func() *v1alpha3.TalosConfigTemplate { return &v1alpha3.TalosConfigTemplate{} },
		NewList:    func() runtime.Object { return &v1alpha3.TalosConfigTemplateList{} },
		Spec:       func(t *v1alpha3.TalosConfigTemplate) any { return &t.Spec },
		Normalise: func(t *v1alpha3.TalosConfigTemplate) []string {
			return Settle(t.Spec.Template.Spec, path.Child("spec"))
		},
		Validate: func(t *v1alpha3.TalosConfigTemplate) field.ErrorList {
			return append(t.Spec.Template.Metadata.Validate(path.Child("metadata")), ValidateTemplate(t.Spec.Template.Spec, path.Child("spec"))...)
		},
		Doubt: func(t *v1alpha3.TalosConfigTemplate) field.ErrorList {
			return Doubt(t.Spec.Template.Spec, path.Child("spec"))
		},
		ValidateUpdate: func(t, stored *v1alpha3.TalosConfigTemplate) field.ErrorList {
			return registry.Fixed(t, t.Spec, stored.Spec, "make another template and refer to that one instead")
		},
		Columns: []registry.Column[*v1alpha3.TalosConfigTemplate]{
			{
				Name: "Type", Type: "string", Description: "role of the nodes",
				Cell: func(t *v1alpha3.TalosConfigTemplate) any {
					return registry.Text(string(t.Spec.Template.Spec.GenerateType))
				},
			},
			registry.Age[*v1alpha3.TalosConfigTemplate](),
		},
	}
}
