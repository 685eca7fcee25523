package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// hubAnnotation is where an object in an older version keeps what that version cannot say. Upstream uses the name too.
	hubAnnotation = "cluster.x-k8s.io/conversion-data"

	// spokeAnnotation and a version's name are where a stored object keeps how it was said in that version, if the stored
	// version cannot say it.
	spokeAnnotation = "conversion.sidero.dev/"
)

// Spoke is an older version of a kind. Its objects are converted to and from the hub's, which are stored. It is a Version
// of any type, as a Kind lists it.
type Spoke[T Object] interface {
	// In is the version.
	In() schema.GroupVersion

	Register(scheme *runtime.Scheme, kind Kind[T]) error
	// restore gives an object that was written in this version what the version cannot say.
	Refill(written, stored T)
	Moves() []Move
}

// Older describes an older version S of the kind T. The functions work on specs and statuses only; metadata is the same in
// all versions.
//
// Nothing is lost in either direction. What the hub says and S cannot goes into an annotation when an object is read as S,
// and comes back from there, or from what is stored, when it is written as S. What S says and the hub cannot is kept in an
// annotation of the hub.
type Older[T, S Object] struct {
	Version schema.GroupVersion

	New     func() S
	NewList func() runtime.Object

	// Up says in the hub's words what S says, Down the other way round. The target is empty.
	Up   func(from S, to T)
	Down func(from T, to S)
	// Restore gives what Up made what S cannot say, from another hub object.
	Restore func(to, from T)
	// Hide leaves of a hub object only what Restore takes from it. If it is nil, that is what Restore gives an empty object.
	Hide func(from T) T

	// Moved are the fields that are elsewhere in the hub.
	Moved []Move
}

// In implements Spoke.
func (o Older[T, S]) In() schema.GroupVersion { return o.Version }

// Refill implements Spoke.
func (o Older[T, S]) Refill(written, stored T) {
	if o.Restore != nil {
		o.Restore(written, copied(stored))
	}
}

// Moves implements Spoke.
func (o Older[T, S]) Moves() []Move { return o.Moved }

// Register implements Spoke.
func (o Older[T, S]) Register(scheme *runtime.Scheme, kind Kind[T]) error {
	convert := func(from, to runtime.Object) error {
		switch from := from.(type) {
		case S:
			return o.up(kind, from, to.(T)) //nolint:errcheck,forcetypeassert // as registered below
		case T:
			return o.down(kind, from, to.(S)) //nolint:errcheck,forcetypeassert // as registered below
		default:
			return fmt.Errorf("convert %s: got a %T", kind.Resource, from)
		}
	}

	return errors.Join(
		register(scheme, o.New(), kind.New(), convert),
		register(scheme, kind.New(), o.New(), convert),
		register(scheme, o.NewList(), kind.NewList(), listOf(func() runtime.Object { return kind.New() }, convert)),
		register(scheme, kind.NewList(), o.NewList(), listOf(func() runtime.Object { return o.New() }, convert)),
	)
}

func register(scheme *runtime.Scheme, from, to runtime.Object, convert func(from, to runtime.Object) error) error {
	return scheme.AddConversionFunc(from, to, func(a, b any, _ conversion.Scope) error {
		return convert(a.(runtime.Object), b.(runtime.Object)) //nolint:errcheck,forcetypeassert // as registered
	})
}

// listOf converts lists by converting their items.
func listOf(item func() runtime.Object, convert func(from, to runtime.Object) error) func(from, to runtime.Object) error {
	return func(from, to runtime.Object) error {
		var items []runtime.Object

		err := meta.EachListItem(from, func(o runtime.Object) error {
			converted := item()
			items = append(items, converted)

			return convert(o, converted)
		})
		if err != nil {
			return err
		}

		source, sourceErr := meta.ListAccessor(from)
		target, targetErr := meta.ListAccessor(to)

		if err := errors.Join(sourceErr, targetErr); err != nil {
			return err
		}

		target.SetResourceVersion(source.GetResourceVersion())
		target.SetContinue(source.GetContinue())
		target.SetRemainingItemCount(source.GetRemainingItemCount())

		return meta.SetList(to, items)
	}
}

// up makes a hub object. The objects given come from caches: they are not changed, nor is their memory shared.
func (o Older[T, S]) up(kind Kind[T], from S, to T) error {
	from = copied(from)
	*metadata(to) = *metadata(from)
	o.Up(from, to)

	hidden := annotation(to, hubAnnotation)
	remove(to, hubAnnotation)

	if said := o.Version.Version; o.sameInBoth(kind, from) {
		remove(to, spokeAnnotation+said)
	} else if err := annotate(to, spokeAnnotation+said, withoutStatus(from)); err != nil {
		return err
	}

	// What somebody wrote into the annotation by hand is no reason to fail: then there is nothing to restore.
	if stored := kind.New(); hidden != "" && o.Restore != nil && json.Unmarshal([]byte(hidden), stored) == nil {
		o.Restore(to, stored)
	}

	return nil
}

// sameInBoth tells whether the hub can say all that the spec of S says. Statuses are the controllers', who speak the hub's
// version.
func (o Older[T, S]) sameInBoth(kind Kind[T], from S) bool {
	hub, back := kind.New(), o.New()
	o.Up(copied(from), hub)
	o.Down(hub, back)

	return same(withoutStatus(from), withoutStatus(back))
}

// down makes an object of the older version; see up.
func (o Older[T, S]) down(kind Kind[T], from T, to S) error {
	from = copied(from)
	*metadata(to) = *metadata(from)
	o.Down(copied(from), to)

	name := spokeAnnotation + o.Version.Version
	if said := annotation(from, name); said != "" {
		remove(to, name)
		o.sayAsBefore(kind, said, to)
	}

	if hidden := o.hide(kind, from); !same(hidden, kind.New()) {
		return annotate(to, hubAnnotation, hidden)
	}

	return nil
}

// sayAsBefore makes an object say what it said when it was written in the older version, if the hub says the same still.
func (o Older[T, S]) sayAsBefore(kind Kind[T], said string, to S) {
	before, hub, now := o.New(), kind.New(), o.New()
	if json.Unmarshal([]byte(said), before) != nil {
		return
	}

	o.Up(copied(before), hub)
	o.Down(hub, now)

	if same(withoutStatus(now), withoutStatus(to)) {
		part(to, "Spec").Set(part(before, "Spec"))
	}
}

func (o Older[T, S]) hide(kind Kind[T], from T) T {
	if o.Hide != nil {
		return o.Hide(from)
	}

	hidden := kind.New()
	if o.Restore != nil {
		o.Restore(hidden, from)
	}

	return hidden
}

// same tells whether two objects say the same, whatever their metadata.
func same[O Object](a, b O) bool {
	a, b = copied(a), copied(b)
	*metadata(a), *metadata(b) = metav1.ObjectMeta{}, metav1.ObjectMeta{}
	a.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	b.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})

	return apiequality.Semantic.DeepEqual(a, b)
}

// part is a field of the type that an object points to.
func part(o Object, name string) reflect.Value { return reflect.ValueOf(o).Elem().FieldByName(name) }

func hasStatus(o Object) bool { return part(o, "Status").IsValid() }

func withoutStatus[O Object](o O) O {
	o = copied(o)
	if hasStatus(o) {
		part(o, "Status").SetZero()
	}

	return o
}

func copied[O Object](o O) O { return o.DeepCopyObject().(O) } //nolint:errcheck,forcetypeassert // a copy is of the same type

func metadata(o metav1.ObjectMetaAccessor) *metav1.ObjectMeta {
	return o.GetObjectMeta().(*metav1.ObjectMeta) //nolint:errcheck,forcetypeassert // what every API type embeds
}

func annotation(o metav1.Object, name string) string { return o.GetAnnotations()[name] }

// remove takes an annotation away. The object's map is its own.
func remove(o metav1.Object, name string) {
	annotations := o.GetAnnotations()
	if _, found := annotations[name]; !found {
		return
	}

	delete(annotations, name)

	if len(annotations) == 0 {
		annotations = nil
	}

	o.SetAnnotations(annotations)
}

// annotate writes an object's spec and status into an annotation of another.
func annotate(o Object, name string, said Object) error {
	said = copied(said)
	*metadata(said) = metav1.ObjectMeta{}
	said.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})

	text, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("encode annotation %s: %w", name, err)
	}

	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}

	annotations[name] = string(text)
	o.SetAnnotations(annotations)

	return nil
}
