package registry

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Object is a pointer to a native type.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind describes a native kind that is served with a status subresource.
type Kind[T Object] struct {
	// Resource is the kind's plural name and group, Singular its singular name.
	Resource schema.GroupResource
	Singular string
	// Namespaced tells whether objects live in namespaces.
	Namespaced bool
	ShortNames []string
	Categories []string

	New     func() T
	NewList func() runtime.Object
	// Items are the objects of a list.
	Items func(list runtime.Object) []T

	// Spec and Status return pointers to those parts of an object.
	Spec, Status func(T) any
	// Normalise brings what a client wrote into the form that is stored. It may be nil.
	Normalise func(T)
	// Validate returns what is wrong with an object, each with its path. It may be nil.
	Validate func(T) field.ErrorList
	// ValidateStatus returns what is wrong with an object's status. It may be nil.
	ValidateStatus func(T) field.ErrorList

	// Columns are what tables show after the name.
	Columns []Column[T]
	// Fields are the field selectors that the kind knows besides metadata.name.
	Fields map[string]func(T) string
}

// Definition is a Kind of any type, as a group lists it.
type Definition interface {
	// Storage makes the stores of the kind by the name of their path: the resource and its status.
	Storage(Options) (map[string]rest.Storage, error)
	// AddFieldLabels makes the scheme accept the kind's field selectors in a version.
	AddFieldLabels(*runtime.Scheme, schema.GroupVersionKind) error
	// Names tells how the kind is called and where its objects live.
	Names() Names
}

// Names is how a kind is called in URLs and on the command line, and where its objects live.
type Names struct {
	Plural, Singular       string
	ShortNames, Categories []string
	Namespaced             bool
}

// Options are what the stores of a group share.
type Options struct {
	Getter generic.RESTOptionsGetter
	Scheme *runtime.Scheme
	// Versions are the API versions the kind is served in.
	Versions []schema.GroupVersion
}

// Storage implements Definition.
func (k Kind[T]) Storage(options Options) (map[string]rest.Storage, error) {
	main := strategy[T]{ObjectTyper: options.Scheme, kind: k, reset: resetFields(options.Versions, "status")}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return k.New() },
		NewListFunc:               k.NewList,
		PredicateFunc:             k.predicate,
		DefaultQualifiedResource:  k.Resource,
		SingularQualifiedResource: schema.GroupResource{Group: k.Resource.Group, Resource: k.Singular},
		CreateStrategy:            main,
		UpdateStrategy:            main,
		DeleteStrategy:            main,
		ResetFieldsStrategy:       main,
		TableConvertor:            table[T]{kind: k},
	}

	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: options.Getter, AttrFunc: k.attributes}); err != nil {
		return nil, fmt.Errorf("set up store of %s: %w", k.Resource, err)
	}

	statusStore := *store
	status := statusStrategy[T]{strategy: main, reset: resetFields(options.Versions, "metadata", "spec")}
	statusStore.UpdateStrategy, statusStore.ResetFieldsStrategy = status, status

	return map[string]rest.Storage{
		k.Resource.Resource:             resource{Store: store, shortNames: k.ShortNames, categories: k.Categories},
		k.Resource.Resource + "/status": &subresource{store: &statusStore, empty: func() runtime.Object { return k.New() }},
	}, nil
}

// AddFieldLabels implements Definition.
func (k Kind[T]) AddFieldLabels(scheme *runtime.Scheme, version schema.GroupVersionKind) error {
	return scheme.AddFieldLabelConversionFunc(version, func(label, value string) (string, string, error) {
		if _, known := k.Fields[label]; known || label == "metadata.name" || label == "metadata.namespace" {
			return label, value, nil
		}

		return "", "", fmt.Errorf("%q is not a known field selector of %s", label, k.Resource)
	})
}

// Names implements Definition.
func (k Kind[T]) Names() Names {
	return Names{
		Plural: k.Resource.Resource, Singular: k.Singular,
		ShortNames: k.ShortNames, Categories: k.Categories,
		Namespaced: k.Namespaced,
	}
}

func (k Kind[T]) attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	o, ok := object.(T)
	if !ok {
		return nil, nil, fmt.Errorf("select %s: got a %T", k.Resource, object)
	}

	set := generic.AddObjectMetaFieldsSet(fields.Set{}, objectMeta(o), k.Namespaced)
	for name, value := range k.Fields {
		set[name] = value(o)
	}

	return o.GetLabels(), set, nil
}

func objectMeta(o metav1.Object) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Name: o.GetName(), Namespace: o.GetNamespace()}
}

func (k Kind[T]) predicate(label labels.Selector, selected fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: selected, GetAttrs: k.attributes}
}

// resetFields are the parts of an object that a write leaves alone: whoever applies them does not come to own them.
func resetFields(versions []schema.GroupVersion, parts ...string) map[fieldpath.APIVersion]*fieldpath.Set {
	paths := make([]fieldpath.Path, 0, len(parts))
	for _, part := range parts {
		paths = append(paths, fieldpath.MakePathOrDie(part))
	}

	reset := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, version := range versions {
		reset[fieldpath.APIVersion(version.String())] = fieldpath.NewSet(paths...)
	}

	return reset
}

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
