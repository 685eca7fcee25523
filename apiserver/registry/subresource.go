package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// resource is a kind's main store with the names that kubectl takes for it.
type resource struct {
	*genericregistry.Store

	shortNames, categories []string
}

func (r resource) ShortNames() []string { return r.shortNames }
func (r resource) Categories() []string { return r.categories }

// subresource offers of a store what a subresource has: reading and writing, no creation and no deletion.
type subresource struct {
	store *genericregistry.Store
	empty func() runtime.Object
}

func (s *subresource) New() runtime.Object { return s.empty() }

// Destroy does nothing: the main store, which shares what would be destroyed, does it.
func (*subresource) Destroy() {}

func (s *subresource) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

func (s *subresource) Update(ctx context.Context, name string, object rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc,
	validate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, object, rest.ValidateAllObjectFunc, validate, false, options)
}

func (s *subresource) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

func (s *subresource) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, object, options)
}
