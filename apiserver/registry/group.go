package registry

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is a native API group.
type Group struct {
	// Hub is the version that is stored and that the others are converted through.
	Hub Version
	// Kinds are the group's kinds by their name.
	Kinds map[string]Definition
	// Labels are those by which Cluster API and clusterctl find the CustomResourceDefinitions of the group's kinds and know
	// what to do with them. See package descriptor.
	Labels map[string]string
}

// Served are the versions that clients can speak, the stored one first.
func (g Group) Served() []schema.GroupVersion {
	return []schema.GroupVersion{g.Hub.GroupVersion}
}

// Version is one version of a group.
type Version struct {
	schema.GroupVersion

	// Types are an empty object of each kind and list kind.
	Types []runtime.Object
}

// AddToScheme adds the group as clients see it.
func (g Group) AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(g.Hub.GroupVersion, g.Hub.Types...)
	metav1.AddToGroupVersion(scheme, g.Hub.GroupVersion)

	for name, kind := range g.Kinds {
		if err := kind.AddFieldLabels(scheme, g.Hub.WithKind(name)); err != nil {
			return fmt.Errorf("add field labels of %s: %w", name, err)
		}
	}

	return scheme.SetVersionPriority(g.Hub.GroupVersion)
}

// AddHubToScheme adds the group's internal version, which k8s.io/apiserver's handlers convert through. The hub's types
// serve as such: they are what is stored, so nothing is converted twice.
func (g Group) AddHubToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(schema.GroupVersion{Group: g.Hub.Group, Version: runtime.APIVersionInternal}, g.Hub.Types...)
}
