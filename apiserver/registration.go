package apiserver

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdinformers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	crdlisters "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// foreignDefinitions are the CustomResourceDefinitions as the aggregator's controller may see them that keeps an
// APIService for each version that they serve: without the native versions. That controller believes that a version which
// a definition names and does not serve is gone, and removes its APIService; a descriptor is such a definition. The
// native group would miss from /apis, and the server would never again be ready, for it waits for that APIService.
type foreignDefinitions struct {
	crdinformers.CustomResourceDefinitionInformer

	native []schema.GroupVersion
}

// Informer implements CustomResourceDefinitionInformer.
func (d foreignDefinitions) Informer() cache.SharedIndexInformer {
	return foreignInformer{d.CustomResourceDefinitionInformer.Informer(), d}
}

// Lister implements CustomResourceDefinitionInformer.
func (d foreignDefinitions) Lister() crdlisters.CustomResourceDefinitionLister {
	return foreignLister{d.CustomResourceDefinitionInformer.Lister(), d}
}

// without returns a definition without the native versions, and anything else as it is. What comes from the cache is not
// changed.
func (d foreignDefinitions) without(object any) any {
	switch o := object.(type) {
	case *apiextensionsv1.CustomResourceDefinition:
		foreign := *o
		foreign.Spec.Versions = slices.DeleteFunc(slices.Clone(o.Spec.Versions), func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return slices.Contains(d.native, schema.GroupVersion{Group: o.Spec.Group, Version: v.Name})
		})

		return &foreign
	case cache.DeletedFinalStateUnknown:
		o.Obj = d.without(o.Obj)

		return o
	default:
		return object
	}
}

type foreignInformer struct {
	cache.SharedIndexInformer

	definitions foreignDefinitions
}

// AddEventHandler implements SharedIndexInformer.
func (i foreignInformer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	without := i.definitions.without

	return i.SharedIndexInformer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(o any, initial bool) { handler.OnAdd(without(o), initial) },
		UpdateFunc: func(before, o any) { handler.OnUpdate(without(before), without(o)) },
		DeleteFunc: func(o any) { handler.OnDelete(without(o)) },
	})
}

type foreignLister struct {
	crdlisters.CustomResourceDefinitionLister

	definitions foreignDefinitions
}

// List implements CustomResourceDefinitionLister.
func (l foreignLister) List(selector labels.Selector) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	all, err := l.CustomResourceDefinitionLister.List(selector)

	foreign := make([]*apiextensionsv1.CustomResourceDefinition, len(all))
	for i, crd := range all {
		foreign[i] = l.definitions.without(crd).(*apiextensionsv1.CustomResourceDefinition) //nolint:errcheck,forcetypeassert // as it came
	}

	return foreign, err
}
