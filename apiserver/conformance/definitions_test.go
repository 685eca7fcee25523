package conformance_test

import (
	"context"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

type (
	schemaOf   = apiextensionsv1.JSONSchemaProps
	properties = map[string]apiextensionsv1.JSONSchemaProps
)

// custom is a kind whose definition this package makes. In namespaces it has a scale.
func custom(kind schema.GroupVersionKind, other string, namespaced bool) subject {
	return subject{
		GroupVersionKind: kind,
		resource:         strings.ToLower(kind.Kind) + "s",
		namespaced:       namespaced,
		other:            other,
		spec:             map[string]any{"size": int64(3)},
		text:             text{"spec.text", "one", "two"},
		note:             text{"status.note", "left", "right"},
		refused:          value{"spec.size", int64(0)},
		mistyped:         value{"spec.size", "large"},
		selectable:       value{"spec.size", int64(7)},
		scale:            namespaced,
	}
}

// define installs the custom kinds and waits until they are served.
func (p *plane) define(t *testing.T) []subject {
	t.Helper()

	definitions := apiextensionsclient.NewForConfigOrDie(p.Admin).CustomResourceDefinitions()
	subjects := customs()

	for _, s := range subjects {
		_, err := definitions.Create(t.Context(), s.definition(), metav1.CreateOptions{})
		must(t, err)
	}

	for _, s := range subjects {
		for _, version := range []string{s.Version, s.other} {
			resource := p.dynamic.Resource(schema.GroupVersionResource{Group: s.Group, Version: version, Resource: s.resource})
			eventually(t, "list "+s.name(), func(ctx context.Context) (bool, error) {
				_, err := resource.List(ctx, metav1.ListOptions{})

				return err == nil, nil
			})
		}
	}

	return subjects
}

func (s subject) definition() *apiextensionsv1.CustomResourceDefinition {
	scope := apiextensionsv1.ClusterScoped
	if s.namespaced {
		scope = apiextensionsv1.NamespaceScoped
	}

	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: s.resource + "." + s.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: s.Group,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind: s.Kind, ListKind: s.Kind + "List", Plural: s.resource, Singular: strings.ToLower(s.Kind),
			},
			Scope:    scope,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{s.served(s.Version, true), s.served(s.other, false)},
		},
	}
}

// served is a version of the definition. They all look alike.
func (s subject) served(version string, storage bool) apiextensionsv1.CustomResourceDefinitionVersion {
	v := apiextensionsv1.CustomResourceDefinitionVersion{
		Name: version, Served: true, Storage: storage,
		Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &schemaOf{
			Type: "object", Properties: properties{"spec": specSchema(), "status": statusSchema()},
		}},
		Subresources:     &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
		SelectableFields: []apiextensionsv1.SelectableField{{JSONPath: "." + s.selectable.path}},
	}
	if s.scale {
		v.Subresources.Scale = &apiextensionsv1.CustomResourceSubresourceScale{
			SpecReplicasPath: ".spec.replicas", StatusReplicasPath: ".status.replicas", LabelSelectorPath: new(".status.selector"),
		}
	}

	return v
}

func specSchema() schemaOf {
	return schemaOf{Type: "object", Properties: properties{
		"text":     {Type: "string", Description: "Anything."},
		"size":     {Type: "integer", Minimum: new(1.0)},
		"replicas": {Type: "integer", Minimum: new(0.0), Maximum: new(2147483647.0)},
	}}
}

func statusSchema() schemaOf {
	return schemaOf{Type: "object", Properties: properties{
		"note":     {Type: "string"},
		"replicas": {Type: "integer"},
		"selector": {Type: "string"},
		"conditions": {
			Type: "array", XListType: new("map"), XListMapKeys: []string{"type"},
			Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &schemaOf{
				Type: "object", Required: []string{"type", "status", "lastTransitionTime"},
				Properties: properties{
					"type": {Type: "string"}, "status": {Type: "string"}, "message": {Type: "string"},
					"lastTransitionTime": {Type: "string", Format: "date-time"},
				},
			}},
		},
	}}
}
