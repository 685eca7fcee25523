package conformance_test

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// subject is a kind that the table is about.
type subject struct {
	schema.GroupVersionKind

	resource   string
	namespaced bool
	// other is a further version that the kind is served in, if there is one. It has the text as well.
	other string
	// spec is a valid one, without the text.
	spec map[string]any
	// text is an optional field below spec, and note one below status.
	text, note text
	// refused is a value below spec that validation refuses, mistyped one of a type that the field does not have.
	refused, mistyped value
	// selectable is a field selector of the kind besides name and namespace, if there is one, and what an object must hold
	// to be selected by its value.
	selectable value
	// scale tells whether the kind has that subresource. Its replicas are in spec.replicas.
	scale bool
}

// text is the path of a field and two values that it may have.
type text struct{ path, one, two string }

// value is the path of a field and a value for it.
type value struct {
	path  string
	value any
}

func (s subject) name() string { return strings.Join([]string{s.Kind, s.Version, s.Group}, ".") }

func (s subject) inNamespaces() bool { return s.namespaced }

func (s subject) hasScale() bool { return s.scale }

func (s subject) hasOther() bool { return s.other != "" }

func (s subject) hasSelectable() bool { return s.selectable.path != "" }

// known tells whether a version is one of the subject's. Owners of fields may be told in any of them.
func (s subject) known(apiVersion string) bool {
	return apiVersion == s.Group+"/"+s.Version || s.other != "" && apiVersion == s.Group+"/"+s.other
}

// groupResource is how errors name the resource.
func (s subject) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: s.Group, Resource: s.resource}
}

// set writes a field of an object by its path.
func set(o *unstructured.Unstructured, path string, v any) {
	if err := unstructured.SetNestedField(o.Object, runtime.DeepCopyJSONValue(v), strings.Split(path, ".")...); err != nil {
		panic(err) // a mistake in the table
	}
}

// unset removes a field of an object by its path.
func unset(o *unstructured.Unstructured, path string) {
	unstructured.RemoveNestedField(o.Object, strings.Split(path, ".")...)
}

// at is a field of an object by its path, as text; empty if there is none.
func at(o *unstructured.Unstructured, path string) string {
	v, found, err := unstructured.NestedFieldNoCopy(o.Object, strings.Split(path, ".")...)
	if err != nil || !found {
		return ""
	}

	return fmt.Sprint(v)
}

// nested is a document that holds nothing but a value at a path.
func nested(path string, v any) map[string]any {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	set(o, path, v)

	return o.Object
}
