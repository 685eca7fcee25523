package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
	metav1.ObjectMetaAccessor
}

// Kind describes a native kind as the hub's type T says it.
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
	// Older are the versions beside the hub.
	Older []Spoke[T]

	// Spec and Status return pointers to those parts of an object. A kind whose Status is nil has no status subresource.
	Spec, Status func(T) any
	// Scale tells where the numbers of the scale subresource are. If it is nil, there is none.
	Scale *Scale[T]

	// Log tells whether objects stand for machines that log, which the log subresource serves.
	Log bool

	// Normalise brings what a client wrote into the form that is stored, and tells what the client should know of that or
	// of what it wrote. It may be nil.
	Normalise func(T) (warnings []string)
	// Validate returns what is wrong with an object, each with its path. It may be nil.
	Validate func(T) field.ErrorList
	// Doubt returns what a client is to be warned of, each with its path: what is let in, and will probably not work. It is asked
	// only about a spec that is new. It may be nil.
	Doubt func(T) field.ErrorList
	// ValidateUpdate returns what must not become of a stored object. It may be nil.
	ValidateUpdate func(o, stored T) field.ErrorList
	// Remember writes into the status of an object what an update of its spec would have everybody forget. It may be nil.
	Remember func(o, stored T)
	// ValidateStatus returns what is wrong with an object's status. It may be nil.
	ValidateStatus func(T) field.ErrorList

	// Columns are what tables show after the name.
	Columns []Column[T]
	// Fields are the field selectors that the kind knows besides metadata.name.
	Fields map[string]func(T) string
}

// Definition is a Kind of any type, as a group lists it.
type Definition interface {
	// Storage makes the stores of the kind by the name of their path: the resource and its subresources.
	Storage(Options) (map[string]rest.Storage, error)
	// Versions are those that the kind is served in, the hub first.
	Versions(hub schema.GroupVersion) []schema.GroupVersion
	// AddToScheme adds the kind's conversions and field selectors.
	AddToScheme(scheme *runtime.Scheme, hub schema.GroupVersionKind) error
	// Names tells how the kind is called and where its objects live.
	Names() Names
}

// Names is how a kind is called in URLs and on the command line, and where its objects live.
type Names struct {
	Plural, Singular       string
	ShortNames, Categories []string
	// Subresources are status, scale and log, as far as the kind has them.
	Subresources []string
	// Selectors are the fields that objects can be selected by, besides name and namespace.
	Selectors  []string
	Namespaced bool
}

// Options are what the stores of a group share.
type Options struct {
	Getter generic.RESTOptionsGetter
	Scheme *runtime.Scheme
	// Hub is the version that is stored.
	Hub schema.GroupVersion
	// Logs are what machines have logged. There are none when it is nil.
	Logs Logs
}

// Storage implements Definition.
func (k Kind[T]) Storage(options Options) (map[string]rest.Storage, error) {
	main := strategy[T]{ObjectTyper: options.Scheme, kind: k, hub: options.Hub}
	main.reset = k.resetFields(options.Hub, k.mainResets()...)

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

	paths := k.paths(store, main)
	if k.Log && options.Logs != nil {
		paths[k.Resource.Resource+"/log"] = &logs{store: store, logs: options.Logs, empty: func() runtime.Object { return k.New() }}
	}

	return paths, nil
}

// paths are the stores of the kind by the name of their path.
func (k Kind[T]) paths(store *genericregistry.Store, main strategy[T]) map[string]rest.Storage {
	name := k.Resource.Resource
	paths := map[string]rest.Storage{name: resource{Store: store, shortNames: k.ShortNames, categories: k.Categories}}

	if k.Status != nil {
		statusStore := *store
		status := statusStrategy[T]{strategy: main, reset: k.resetFields(main.hub, "metadata", "spec")}
		statusStore.UpdateStrategy, statusStore.ResetFieldsStrategy = status, status
		paths[name+"/status"] = &subresource{store: &statusStore, empty: func() runtime.Object { return k.New() }}
	}

	if k.Scale != nil {
		paths[name+"/scale"] = &scale[T]{store: store, kind: k, hub: main.hub}
	}

	return paths
}

// Versions implements Definition.
func (k Kind[T]) Versions(hub schema.GroupVersion) []schema.GroupVersion {
	versions := []schema.GroupVersion{hub}
	for _, older := range k.Older {
		versions = append(versions, older.In())
	}

	return versions
}

// AddToScheme implements Definition.
func (k Kind[T]) AddToScheme(scheme *runtime.Scheme, hub schema.GroupVersionKind) error {
	for _, older := range k.Older {
		if err := older.Register(scheme, k); err != nil {
			return fmt.Errorf("add conversions of %s: %w", older.In(), err)
		}
	}

	for _, version := range k.Versions(hub.GroupVersion()) {
		if err := scheme.AddFieldLabelConversionFunc(version.WithKind(hub.Kind), k.fieldLabel); err != nil {
			return fmt.Errorf("add field labels of %s: %w", version, err)
		}
	}

	return nil
}

// fieldLabel accepts the kind's field selectors.
func (k Kind[T]) fieldLabel(label, value string) (string, string, error) {
	_, known := k.Fields[label]
	if known || label == "metadata.name" || label == "metadata.namespace" && k.Namespaced {
		return label, value, nil
	}

	return "", "", fmt.Errorf("%q is not a known field selector of %s: %s", label, k.Resource,
		strings.Join(append([]string{"metadata.name"}, slices.Sorted(maps.Keys(k.Fields))...), ", "))
}

// Names implements Definition.
func (k Kind[T]) Names() Names {
	names := Names{
		Plural: k.Resource.Resource, Singular: k.Singular,
		ShortNames: k.ShortNames, Categories: k.Categories,
		Selectors:  slices.Sorted(maps.Keys(k.Fields)),
		Namespaced: k.Namespaced,
	}

	if k.Status != nil {
		names.Subresources = append(names.Subresources, "status")
	}

	if k.Scale != nil {
		names.Subresources = append(names.Subresources, "scale")
	}

	if k.Log {
		names.Subresources = append(names.Subresources, "log")
	}

	return names
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

// mainResets are the parts that a write to the kind's main path leaves alone.
func (k Kind[T]) mainResets() []string {
	if k.Status == nil {
		return nil
	}

	return []string{"status"}
}

// resetFields are the parts of an object that a write leaves alone, and the annotation that reading an older version adds:
// whoever applies them does not come to own them.
func (k Kind[T]) resetFields(hub schema.GroupVersion, parts ...string) map[fieldpath.APIVersion]*fieldpath.Set {
	left := fieldpath.NewSet()
	for _, part := range parts {
		left.Insert(fieldpath.MakePathOrDie(part))
	}

	reset := map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(hub.String()): left}

	for _, older := range k.Older {
		reset[fieldpath.APIVersion(older.In().String())] = left.Union(fieldpath.NewSet(
			fieldpath.MakePathOrDie("metadata", "annotations", hubAnnotation)))
	}

	return reset
}
