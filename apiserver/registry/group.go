package registry

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is a native API group.
type Group struct {
	// Hub is the version that is stored and that the others are converted through.
	Hub Version
	// Older are the other versions, the newest first. Not every kind need be in all of them.
	Older []Version
	// Kinds are the group's kinds by their name.
	Kinds map[string]Definition
	// Labels are those by which Cluster API and clusterctl find the CustomResourceDefinitions of the group's kinds and know
	// what to do with them. See package descriptor.
	Labels map[string]string
}

// Version is one version of a group.
type Version struct {
	schema.GroupVersion

	// Types are an empty object of each kind and list kind.
	Types []runtime.Object
}

// Served are the versions that clients can speak, the stored one first.
func (g Group) Served() []schema.GroupVersion {
	served := []schema.GroupVersion{g.Hub.GroupVersion}
	for _, older := range g.Older {
		served = append(served, older.GroupVersion)
	}

	return served
}

// Serves tells whether a version has a kind.
func (g Group) Serves(version schema.GroupVersion, kind string) bool {
	return slices.Contains(g.Kinds[kind].Versions(g.Hub.GroupVersion), version)
}

// AddToScheme adds the group as clients see it.
func (g Group) AddToScheme(scheme *runtime.Scheme) error {
	for _, version := range append([]Version{g.Hub}, g.Older...) {
		scheme.AddKnownTypes(version.GroupVersion, version.Types...)
		metav1.AddToGroupVersion(scheme, version.GroupVersion)
	}

	addScaleToScheme(scheme)

	for name, kind := range g.Kinds {
		if err := kind.AddToScheme(scheme, g.Hub.WithKind(name)); err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
	}

	return scheme.SetVersionPriority(g.Served()...)
}

// AddHubToScheme adds the group's internal version, which k8s.io/apiserver's handlers convert through. The hub's types
// serve as such: they are what is stored, so nothing is converted twice.
func (g Group) AddHubToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(schema.GroupVersion{Group: g.Hub.Group, Version: runtime.APIVersionInternal}, g.Hub.Types...)
	addInternalScaleToScheme(scheme)
}
