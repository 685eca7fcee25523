package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of Cluster API's bootstrap providers.
const GroupName = "bootstrap.cluster.x-k8s.io"

// GroupVersion is the group and version of the types in this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha3"}

// SchemeBuilder collects the functions that add this version's types to a scheme.
var SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme adds the types of this version to a scheme.
var AddToScheme = SchemeBuilder.AddToScheme

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, Kinds()...)
	metav1.AddToGroupVersion(scheme, GroupVersion)

	return nil
}

// Kinds returns an empty object of every kind and list kind of this version.
func Kinds() []runtime.Object {
	return []runtime.Object{
		&TalosConfig{}, &TalosConfigList{},
		&TalosConfigTemplate{}, &TalosConfigTemplateList{},
	}
}
