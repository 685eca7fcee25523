package conformance_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

func applies() []row {
	return []row{
		{name: "applies/create and change", test: testApply},
		{name: "applies/conflicts", test: testApplyConflicts},
		{name: "applies/shared fields", test: testApplyShared},
		{name: "applies/what is no longer applied goes", test: testApplyRemoves},
		{name: "applies/status", test: testApplyStatus},
		{name: "applies/lists with keys", test: testApplyLists},
		{name: "applies/after updates", test: testApplyAfterUpdate},
		{name: "applies/managed fields are reset", test: testResetManagedFields},
		{name: "applies/refused", test: testApplyRefused},
		{name: "applies/dry run", test: testApplyDryRun},
	}
}

// configuration is what a manager applies to an object: the values at some paths, in pairs.
func (a api) configuration(name string, pairs ...any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(a.GroupVersionKind)
	o.SetName(a.id + "-" + name)

	if a.namespaced {
		o.SetNamespace(a.namespace)
	}

	for i := 0; i < len(pairs); i += 2 {
		set(o, pairs[i].(string), pairs[i+1])
	}

	return o
}

// whole is a configuration that makes a valid object.
func (a api) whole(name string, pairs ...any) *unstructured.Unstructured {
	o := a.object(name)
	for i := 0; i < len(pairs); i += 2 {
		set(o, pairs[i].(string), pairs[i+1])
	}

	return o
}

func (a api) apply(t *testing.T, by string, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()

	applied, err := a.objects.Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: by})
	must(t, err)

	return applied
}

// owners are the managers that own a field: each as "manager operation".
func owners(o *unstructured.Unstructured, path string) string {
	var found []string

	for _, entry := range o.GetManagedFields() {
		fields := &unstructured.Unstructured{}
		if entry.FieldsV1 == nil || fields.UnmarshalJSON(append([]byte(`{"kind":"x","apiVersion":"x","fields":`), append(entry.FieldsV1.GetRawBytes(), '}')...)) != nil {
			continue
		}

		keys := []string{"fields"}
		for part := range strings.SplitSeq(path, ".") {
			keys = append(keys, "f:"+part)
		}

		if _, owned, _ := unstructured.NestedFieldNoCopy(fields.Object, keys...); owned {
			found = append(found, entry.Manager+" "+string(entry.Operation))
		}
	}

	slices.Sort(found)

	return strings.Join(found, ", ")
}

func testApply(t *testing.T, a api) {
	o := a.apply(t, "ann", a.whole("one", a.text.path, a.text.one))

	if o.GetUID() == "" || o.GetGeneration() != 1 || at(o, a.text.path) != a.text.one || owners(o, a.text.path) != "ann Apply" {
		t.Errorf("created %v", o.Object)
	}

	entry := o.GetManagedFields()[0]
	if !a.known(entry.APIVersion) || entry.Subresource != "" || entry.Time.IsZero() {
		t.Errorf("managed by %v", entry)
	}

	eventually(t, "be another second", func(context.Context) (bool, error) { // of which owners are told
		return time.Now().Unix() > entry.Time.Unix(), nil
	})

	if again := a.apply(t, "ann", a.whole("one", a.text.path, a.text.one)); again.GetResourceVersion() != o.GetResourceVersion() {
		t.Errorf("applied again:\n%s\nbefore\n%s", encode(t, again), encode(t, o))
	}

	o = a.apply(t, "ann", a.whole("one", a.text.path, a.text.two))
	if at(o, a.text.path) != a.text.two || o.GetGeneration() != 2 {
		t.Errorf("changed to %v", o.Object)
	}
}

func testApplyConflicts(t *testing.T, a api) {
	a.apply(t, "ann", a.whole("one", a.text.path, a.text.one, "metadata.annotations.of", "ann"))

	other := a.configuration("one", a.text.path, a.text.two, "metadata.annotations.of", "bob")
	_, err := a.objects.Apply(t.Context(), other.GetName(), other, metav1.ApplyOptions{FieldManager: "bob"})
	refused(t, "apply another's fields", err, metav1.StatusReasonConflict, `conflicts with "ann"`)

	want := []string{"." + a.text.path, ".metadata.annotations.of"}
	if got := causes(err); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the causes are %q, want %q", got, want)
	}

	o, err := a.objects.Apply(t.Context(), other.GetName(), other, metav1.ApplyOptions{FieldManager: "bob", Force: true})
	must(t, err)

	if at(o, a.text.path) != a.text.two || owners(o, a.text.path) != "bob Apply" || owners(o, "metadata.annotations.of") != "bob Apply" {
		t.Errorf("forced: %v", o.Object)
	}

	if owners(o, "metadata.labels."+caseLabel) != "ann Apply" {
		t.Errorf("after that the labels are of %q", owners(o, "metadata.labels."+caseLabel))
	}
}

func testApplyShared(t *testing.T, a api) {
	a.apply(t, "ann", a.whole("one", a.text.path, a.text.one))
	o := a.apply(t, "bob", a.configuration("one", a.text.path, a.text.one))

	if owners(o, a.text.path) != "ann Apply, bob Apply" {
		t.Errorf("the text is of %q", owners(o, a.text.path))
	}

	o = a.apply(t, "ann", a.whole("one"))
	if at(o, a.text.path) != a.text.one || owners(o, a.text.path) != "bob Apply" {
		t.Errorf("when one lets go the text is %q of %q", at(o, a.text.path), owners(o, a.text.path))
	}

	o = a.apply(t, "bob", a.configuration("one"))
	if at(o, a.text.path) != "" || owners(o, a.text.path) != "" {
		t.Errorf("when both let go the text is %q of %q", at(o, a.text.path), owners(o, a.text.path))
	}
}

func testApplyRemoves(t *testing.T, a api) {
	a.apply(t, "ann", a.whole("one", a.text.path, a.text.one, "metadata.annotations.a", "1", "metadata.annotations.b", "2"))
	a.merge(t, a.object("one"), "metadata.annotations.c", "3")

	o := a.apply(t, "ann", a.whole("one", "metadata.annotations.b", "2"))
	if annotations := o.GetAnnotations(); at(o, a.text.path) != "" || annotations["a"] != "" || annotations["b"] != "2" || annotations["c"] != "3" {
		t.Errorf("left are %v %v", o.Object["spec"], annotations)
	}
}

func testApplyStatus(t *testing.T, a api) {
	o := a.apply(t, "ann", a.whole("one", a.note.path, a.note.one))
	if at(o, a.note.path) != "" || owners(o, a.note.path) != "" {
		t.Errorf("the main path wrote the status, of %q: %v", owners(o, a.note.path), o.Object["status"])
	}

	status := a.configuration("one", a.note.path, a.note.one, a.text.path, a.text.one, "metadata.labels.lost", "yes")
	o, err := a.objects.ApplyStatus(t.Context(), status.GetName(), status, metav1.ApplyOptions{FieldManager: "bob"})
	must(t, err)

	if at(o, a.note.path) != a.note.one || at(o, a.text.path) != "" || o.GetLabels()["lost"] != "" || o.GetGeneration() != 1 {
		t.Errorf("the status's path made %v", o.Object)
	}

	if owners(o, a.note.path) != "bob Apply" || owners(o, a.text.path) != "" || owners(o, "metadata.labels.lost") != "" {
		t.Errorf("owners are %v", o.GetManagedFields())
	}

	entries := o.GetManagedFields()
	if i := slices.IndexFunc(entries, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "bob" }); i < 0 || entries[i].Subresource != "status" {
		t.Errorf("managed by %v", entries)
	}

	status = a.configuration("one", a.note.path, a.note.two)
	_, err = a.objects.ApplyStatus(t.Context(), status.GetName(), status, metav1.ApplyOptions{FieldManager: "eve"})
	refused(t, "apply another's status", err, metav1.StatusReasonConflict, `"bob"`, "."+a.note.path)
}

// condition is an item of status.conditions.
func condition(kind, status string) map[string]any {
	return map[string]any{"type": kind, "status": status, "lastTransitionTime": "2026-01-02T03:04:05Z"}
}

// conditions are the types and states in an object's status.
func conditions(o *unstructured.Unstructured) string {
	items, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")

	var told []string

	for _, item := range items {
		c, _ := item.(map[string]any)
		told = append(told, c["type"].(string)+"="+c["status"].(string))
	}

	return strings.Join(told, " ")
}

// testApplyLists has managers that own one item each of a list that is a map.
func testApplyLists(t *testing.T, a api) {
	a.create(t, a.object("one"))

	apply := func(by string, items ...any) (*unstructured.Unstructured, error) {
		o := a.configuration("one", "status.conditions", items)

		return a.objects.ApplyStatus(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: by})
	}

	_, err := apply("ann", condition("A", "True"))
	must(t, err)

	o, err := apply("bob", condition("B", "False"))
	must(t, err)

	if got := conditions(o); got != "A=True B=False" {
		t.Errorf("two managers' items: %s", got)
	}

	o, err = apply("bob", condition("C", "True"))
	must(t, err)

	if got := conditions(o); got != "A=True C=True" {
		t.Errorf("one item replaced: %s", got)
	}

	_, err = apply("eve", condition("A", "False"))
	refused(t, "apply another's item", err, metav1.StatusReasonConflict, `"ann"`)

	if want := `.status.conditions[type="A"].status`; !slices.Contains(causes(err), want) {
		t.Errorf("the causes are %q, want %s", causes(err), want)
	}

	if _, err = apply("ann", condition("D", "True"), condition("D", "False")); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("two items of a key: %v", err)
	}
}

// testApplyAfterUpdate applies what was written otherwise before.
func testApplyAfterUpdate(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))

	if owners(o, a.text.path) != manager+" Update" {
		t.Errorf("created by %q", owners(o, a.text.path))
	}

	mine := a.configuration("one", a.text.path, a.text.two)
	_, err := a.objects.Apply(t.Context(), mine.GetName(), mine, metav1.ApplyOptions{FieldManager: "ann"})
	refused(t, "apply what an update wrote", err, metav1.StatusReasonConflict, manager, "."+a.text.path)

	o, err = a.objects.Apply(t.Context(), mine.GetName(), mine, metav1.ApplyOptions{FieldManager: "ann", Force: true})
	must(t, err)

	o, err = a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, encode(t, nested(a.text.path, a.text.one)), metav1.PatchOptions{FieldManager: "eve"})
	must(t, err)

	if owners(o, a.text.path) != "eve Update" {
		t.Errorf("patched by %q", owners(o, a.text.path))
	}

	set(o, a.note.path, a.note.one)

	o, err = a.objects.UpdateStatus(t.Context(), o, metav1.UpdateOptions{FieldManager: "sam"})
	must(t, err)

	if owners(o, a.note.path) != "sam Update" {
		t.Errorf("the status is of %q", owners(o, a.note.path))
	}
}

func testResetManagedFields(t *testing.T, a api) {
	o := a.apply(t, "ann", a.whole("one", a.text.path, a.text.one))
	o = a.merge(t, o, "metadata.managedFields", []any{map[string]any{}})
	if len(o.GetManagedFields()) != 0 {
		t.Errorf("managed fields are %v", o.GetManagedFields())
	}

	o = a.apply(t, "bob", a.configuration("one", a.text.path, a.text.one))
	if !strings.Contains(owners(o, a.text.path), "bob Apply") {
		t.Errorf("after that the text is of %q", owners(o, a.text.path))
	}
}

func testApplyRefused(t *testing.T, a api) {
	stale := a.create(t, a.object("one"))
	a.merge(t, stale, a.text.path, a.text.one)

	conditional := a.configuration("one", "metadata.annotations.a", "b")
	conditional.SetResourceVersion(stale.GetResourceVersion())

	other := a.configuration("one", "metadata.annotations.a", "b")
	other.SetUID("of-another")

	for name, c := range map[string]struct {
		object *unstructured.Unstructured
		reason metav1.StatusReason
		says   string
	}{
		"an old version":        {conditional, metav1.StatusReasonConflict, "the object has been modified"},
		"another UID":           {other, metav1.StatusReasonInvalid, "metadata.uid"},
		"what validation finds": {a.whole("one", a.refused.path, a.refused.value), metav1.StatusReasonInvalid, a.refused.path},
	} {
		_, err := a.objects.Apply(t.Context(), c.object.GetName(), c.object, metav1.ApplyOptions{FieldManager: "ann", Force: true})
		refused(t, name, err, c.reason, c.says)
	}

	apply := func(o *unstructured.Unstructured) *rest.Request { // a client for this would refuse it itself
		return a.rest().Patch(types.ApplyPatchType).AbsPath(a.path(a.id + "-one")).Body(encode(t, o))
	}
	refused(t, "no field manager", apply(a.configuration("one")).Do(t.Context()).Error(), metav1.StatusReasonInvalid, "fieldManager")

	managed := a.configuration("one")
	managed.SetManagedFields(stale.GetManagedFields())
	refused(t, "managed fields", apply(managed).Param("fieldManager", "ann").Do(t.Context()).Error(),
		metav1.StatusReasonBadRequest, "metadata.managedFields must be nil")

	uid := a.whole("none")
	uid.SetUID("of-another")

	_, err := a.objects.Apply(t.Context(), uid.GetName(), uid, metav1.ApplyOptions{FieldManager: "ann"})
	refused(t, "create with a UID", err, metav1.StatusReasonConflict)
}

func testApplyDryRun(t *testing.T, a api) {
	o := a.whole("one", a.text.path, a.text.one)

	applied, err := a.objects.Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "ann", DryRun: []string{metav1.DryRunAll}})
	must(t, err)

	if at(applied, a.text.path) != a.text.one || owners(applied, a.text.path) != "ann Apply" {
		t.Errorf("the answer is %v", applied.Object)
	}

	_, err = a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{})
	refused(t, "get after a dry run", err, metav1.StatusReasonNotFound)
}
