package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// GroupVersion is the group and version of the types in this package.
var GroupVersion = schema.GroupVersion{Group: v1alpha2.GroupName, Version: "v1alpha1"}

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
		&Environment{}, &EnvironmentList{},
		&Server{}, &ServerList{},
		&ServerClass{}, &ServerClassList{},
	}
}
