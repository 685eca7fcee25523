package registry

import (
	"context"
	"reflect"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// strategy is what happens to an object that is written through the kind's main endpoint: its status is left alone.
type strategy[T Object] struct {
	runtime.ObjectTyper

	kind  Kind[T]
	hub   schema.GroupVersion
	reset map[fieldpath.APIVersion]*fieldpath.Set
}

func (strategy[T]) GenerateName(base string) string {
	return names.SimpleNameGenerator.GenerateName(base)
}

func (s strategy[T]) NamespaceScoped() bool { return s.kind.Namespaced }

func (s strategy[T]) PrepareForCreate(ctx context.Context, object runtime.Object) {
	o := typed[T](object)

	if s.kind.Status != nil {
		set(s.kind.Status(o), nil)
	}

	o.SetGeneration(1)
	warn(ctx, s.settle(o))
}

func (s strategy[T]) PrepareForUpdate(ctx context.Context, object, old runtime.Object) {
	o, stored := typed[T](object), typed[T](old)

	if s.kind.Status != nil {
		set(s.kind.Status(o), s.kind.Status(stored))
	}

	s.restore(ctx, o, stored)
	warn(ctx, s.settle(o))

	if s.kind.Remember != nil {
		s.kind.Remember(o, stored)
	}

	o.SetGeneration(stored.GetGeneration())

	if !apiequality.Semantic.DeepEqual(s.kind.Spec(o), s.kind.Spec(stored)) {
		o.SetGeneration(stored.GetGeneration() + 1)
	}
}

// restore gives an object that a client wrote in an older version what that version cannot say.
func (s strategy[T]) restore(ctx context.Context, o, stored T) {
	info, ok := request.RequestInfoFrom(ctx)
	if !ok {
		return
	}

	for _, older := range s.kind.Older {
		if older.In().Version == info.APIVersion {
			older.Refill(o, stored)
		}
	}
}

// settle brings an object into the form that is stored, and returns what is to be said about it.
func (s strategy[T]) settle(o T) (warnings []string) {
	for _, older := range s.kind.Older {
		ownedInHub(o, s.hub, older.In(), older.Moves())
	}

	if s.kind.Normalise == nil {
		return nil
	}

	return s.kind.Normalise(o)
}

func warn(ctx context.Context, warnings []string) {
	for _, text := range warnings {
		warning.AddWarning(ctx, "", text)
	}
}

func (s strategy[T]) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	o := typed[T](object)
	errs := validation.ValidateObjectMetaAccessor(o, s.kind.Namespaced, validation.NameIsDNSSubdomain, field.NewPath("metadata"))

	return append(errs, s.validate(o)...)
}

func (s strategy[T]) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	o, stored := typed[T](object), typed[T](old)
	errs := s.validate(o)

	// What an earlier version of the appliance has let in stays, so that the object can still be changed, and deleted.
	if len(errs) > 0 {
		errs = without(errs, s.validate(stored))
	}

	if s.kind.ValidateUpdate != nil {
		errs = append(errs, s.kind.ValidateUpdate(o, stored)...)
	}

	return errs
}

// without are the errors that are not among others.
func without(errs, others field.ErrorList) field.ErrorList {
	return slices.DeleteFunc(errs, func(err *field.Error) bool {
		return slices.ContainsFunc(others, func(other *field.Error) bool { return other.Error() == err.Error() })
	})
}

func (s strategy[T]) validate(o T) field.ErrorList {
	if s.kind.Validate == nil {
		return nil
	}

	return s.kind.Validate(o)
}

func (s strategy[T]) WarningsOnCreate(_ context.Context, object runtime.Object) []string {
	return s.doubts(typed[T](object))
}

func (s strategy[T]) WarningsOnUpdate(_ context.Context, object, old runtime.Object) []string {
	o, stored := typed[T](object), typed[T](old)
	if apiequality.Semantic.DeepEqual(s.kind.Spec(o), s.kind.Spec(stored)) {
		return nil // whoever wrote it was told
	}

	return s.doubts(o)
}

func (s strategy[T]) doubts(o T) []string {
	if s.kind.Doubt == nil {
		return nil
	}

	return Warnings(s.kind.Doubt(o))
}

func (strategy[T]) AllowCreateOnUpdate() bool      { return false }
func (strategy[T]) AllowUnconditionalUpdate() bool { return false }
func (strategy[T]) Canonicalize(runtime.Object)    {}

func (s strategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return s.reset }

// statusStrategy is what happens to an object that is written through its status endpoint: everything else is left
// alone, but for the metadata that every write may change.
type statusStrategy[T Object] struct {
	strategy[T]

	reset map[fieldpath.APIVersion]*fieldpath.Set
}

func (s statusStrategy[T]) PrepareForUpdate(ctx context.Context, object, old runtime.Object) {
	o, stored := typed[T](object), typed[T](old)

	s.restore(ctx, o, stored)
	set(s.kind.Spec(o), s.kind.Spec(stored))
	o.SetLabels(stored.GetLabels())
	o.SetAnnotations(stored.GetAnnotations())
	o.SetFinalizers(stored.GetFinalizers())
	o.SetOwnerReferences(stored.GetOwnerReferences())
	o.SetGeneration(stored.GetGeneration())
	s.settle(o) // the warnings are about the spec, and were given to whoever wrote that
}

func (statusStrategy[T]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s statusStrategy[T]) ValidateUpdate(_ context.Context, object, _ runtime.Object) field.ErrorList {
	if s.kind.ValidateStatus == nil {
		return nil
	}

	return s.kind.ValidateStatus(typed[T](object))
}

func (s statusStrategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return s.reset }

// typed is the object as the handlers decoded it: by this kind's own factory, so nothing else can come.
func typed[T Object](object runtime.Object) T {
	return object.(T) //nolint:errcheck,forcetypeassert // see above
}

// set copies the value that from points to into what to points to; a nil from empties it.
func set(to, from any) {
	target := reflect.ValueOf(to).Elem()

	if from == nil {
		target.SetZero()

		return
	}

	target.Set(reflect.ValueOf(from).Elem())
}
