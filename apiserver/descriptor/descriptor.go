package descriptor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// All returns the descriptor of every kind of the groups, with all the fields that the API server would otherwise fill
// in, so that it can be compared with what is stored.
func All(groups []registry.Group) []apiextensionsv1.CustomResourceDefinition {
	var all []apiextensionsv1.CustomResourceDefinition

	for _, group := range groups {
		for _, kind := range slices.Sorted(maps.Keys(group.Kinds)) {
			names := group.Kinds[kind].Names()

			all = append(all, apiextensionsv1.CustomResourceDefinition{
				TypeMeta: metav1.TypeMeta{
					APIVersion: apiextensionsv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition",
				},
				ObjectMeta: metav1.ObjectMeta{Name: names.Plural + "." + group.Hub.Group, Labels: maps.Clone(group.Labels)},
				Spec:       spec(group, kind, names),
			})
		}
	}

	return all
}

func spec(group registry.Group, kind string, names registry.Names) apiextensionsv1.CustomResourceDefinitionSpec {
	scope := apiextensionsv1.ClusterScoped
	if names.Namespaced {
		scope = apiextensionsv1.NamespaceScoped
	}

	return apiextensionsv1.CustomResourceDefinitionSpec{
		Group: group.Hub.Group,
		Names: apiextensionsv1.CustomResourceDefinitionNames{
			Kind: kind, ListKind: kind + "List", Plural: names.Plural, Singular: names.Singular,
			ShortNames: names.ShortNames, Categories: names.Categories,
		},
		Scope:      scope,
		Versions:   versions(group, kind),
		Conversion: &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter},
	}
}

// versions are those of the kind. The API server wants one to be stored and each to have a schema; what they say about
// objects does not matter, because none is ever read or written by them.
func versions(group registry.Group, kind string) []apiextensionsv1.CustomResourceDefinitionVersion {
	var versions []apiextensionsv1.CustomResourceDefinitionVersion

	for _, version := range group.Kinds[kind].Versions(group.Hub.GroupVersion) {
		versions = append(versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name:    version.Version,
			Storage: version == group.Hub.GroupVersion,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
				Type:                   "object",
				Description:            "Built into the appliance, which serves it itself; see kubectl explain. This definition only tells Cluster API and clusterctl about it.",
				XPreserveUnknownFields: new(true),
			}},
		})
	}

	return versions
}

// Holds tells whether what is stored says all that the descriptor says. It may have further labels, but for contracts of
// Cluster API, and annotations.
func Holds(stored, descriptor *apiextensionsv1.CustomResourceDefinition) bool {
	return keepsContracts(stored.Labels, descriptor.Labels) && hold(stored.Labels, descriptor.Labels) &&
		equality.Semantic.DeepEqual(stored.Spec, descriptor.Spec)
}

// hold tells whether labels are among others.
func hold(all, wanted map[string]string) bool {
	for name, value := range wanted {
		if got, found := all[name]; !found || got != value {
			return false
		}
	}

	return true
}

// Patch returns the descriptor as the body of a server-side apply. It leaves out the status, which is the API server's.
func Patch(descriptor *apiextensionsv1.CustomResourceDefinition) ([]byte, error) {
	type metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	}

	patch, err := json.Marshal(struct {
		metav1.TypeMeta `json:",inline"`

		Metadata metadata                                     `json:"metadata"`
		Spec     apiextensionsv1.CustomResourceDefinitionSpec `json:"spec"`
	}{descriptor.TypeMeta, metadata{descriptor.Name, descriptor.Labels}, descriptor.Spec})
	if err != nil {
		return nil, fmt.Errorf("encode descriptor %s: %w", descriptor.Name, err)
	}

	return patch, nil
}
