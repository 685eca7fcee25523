package conformance_test

import (
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func subresources() []row {
	return []row{
		{name: "status/is apart from the rest", test: testStatus},
		{name: "status/patches", test: testStatusPatches},
		{name: "status/conflicts", test: testStatusConflicts},
		{name: "status/is checked", test: testStatusInvalid},
		{name: "scale/shows and changes replicas", takes: subject.hasScale, test: testScale},
		{name: "scale/patches", takes: subject.hasScale, test: testScalePatches},
		{name: "scale/refused", takes: subject.hasScale, test: testScaleRefused},
		{name: "scale/owners", takes: subject.hasScale, test: testScaleOwners},
		{name: "scale/there is none", takes: func(s subject) bool { return !s.scale }, test: testNoScale},
	}
}

func testStatus(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))

	changed := o.DeepCopy()
	set(changed, a.note.path, a.note.one)
	set(changed, a.text.path, a.text.two)

	o = a.update(t, changed)
	if at(o, a.note.path) != "" || at(o, a.text.path) != a.text.two {
		t.Errorf("the main path wrote %v", o.Object)
	}

	changed = o.DeepCopy()
	set(changed, a.note.path, a.note.one)
	set(changed, a.text.path, a.text.one)
	set(changed, a.refused.path, a.refused.value)
	changed.SetLabels(map[string]string{"lost": "yes"})
	changed.SetAnnotations(map[string]string{"lost": "yes"})
	changed.SetFinalizers([]string{"example.com/lost"})
	changed.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "default", UID: "lost"}})

	written, err := a.objects.UpdateStatus(t.Context(), changed, metav1.UpdateOptions{})
	must(t, err)

	if at(written, a.note.path) != a.note.one || written.GetGeneration() != o.GetGeneration() || written.GetResourceVersion() == o.GetResourceVersion() {
		t.Errorf("the status's path made %v", written.Object)
	}

	if at(written, a.text.path) != a.text.two || written.GetLabels()["lost"] != "" || written.GetAnnotations() != nil || written.GetFinalizers() != nil || written.GetOwnerReferences() != nil {
		t.Errorf("the status's path wrote other parts: %v", written.Object)
	}

	read, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{}, "status")
	must(t, err)

	if string(encode(t, read)) != string(encode(t, a.reload(t, o))) {
		t.Errorf("the status's path shows %v", read.Object)
	}

	for _, verb := range []string{"POST", "DELETE"} {
		err := a.rest().Verb(verb).AbsPath(a.path(o.GetName(), "status")).Do(t.Context()).Error()
		refused(t, verb+" status", err, metav1.StatusReasonMethodNotAllowed)
	}
}

func testStatusPatches(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	for kind, patch := range map[types.PatchType]string{
		types.MergePatchType: `{"metadata":{"labels":{"lost":"yes"}},"status":` + string(encode(t, nested(a.note.path, a.note.one)["status"])) + `}`,
		types.JSONPatchType:  `[{"op":"add","path":"` + pointer(a.note.path) + `","value":"` + a.note.two + `"},{"op":"add","path":"/metadata/labels/lost","value":"yes"}]`,
	} {
		patched, err := a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(`{"status":{"conditions":[]}}`), metav1.PatchOptions{}, "status")
		must(t, err)

		before := at(patched, a.note.path)

		patched, err = a.objects.Patch(t.Context(), o.GetName(), kind, []byte(patch), metav1.PatchOptions{}, "status")
		must(t, err)

		if now := at(patched, a.note.path); now == before || now == "" || patched.GetLabels()["lost"] != "" || patched.GetGeneration() != 1 {
			t.Errorf("%s: of %q to %v", kind, before, patched.Object)
		}
	}

	ignored := a.merge(t, o, "status", map[string]any{})
	if at(ignored, a.note.path) == "" {
		t.Error("a patch of the main path wrote the status")
	}
}

func testStatusConflicts(t *testing.T, a api) {
	stale := a.create(t, a.object("one"))
	a.merge(t, stale, a.text.path, a.text.one)
	set(stale, a.note.path, a.note.one)

	_, err := a.objects.UpdateStatus(t.Context(), stale, metav1.UpdateOptions{})
	refused(t, "an old resourceVersion", err, metav1.StatusReasonConflict, "the object has been modified")

	none := a.object("none")
	none.SetResourceVersion(stale.GetResourceVersion())

	_, err = a.objects.UpdateStatus(t.Context(), none, metav1.UpdateOptions{})
	refused(t, "the status of what is not there", err, metav1.StatusReasonNotFound)
}

func testStatusInvalid(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	incomplete := condition("A", "True")
	delete(incomplete, "status")

	for name, c := range map[string]struct {
		conditions []any
		path       string
	}{
		"two conditions of a type":      {[]any{condition("A", "True"), condition("A", "False")}, "status.conditions[1]"},
		"a condition without its state": {[]any{condition("B", "True"), incomplete}, "status.conditions[1].status: Required value"},
	} {
		bad := o.DeepCopy()
		set(bad, "status.conditions", c.conditions)

		_, err := a.objects.UpdateStatus(t.Context(), bad, metav1.UpdateOptions{})
		refused(t, name, err, metav1.StatusReasonInvalid, c.path)
	}
}

// scaled writes an object's scale.
func (a api) scaled(t *testing.T, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	t.Helper()

	return a.objects.Update(t.Context(), o, metav1.UpdateOptions{FieldManager: manager}, "scale")
}

func testScale(t *testing.T, a api) {
	o := a.create(t, a.whole("one", "spec.replicas", int64(3)))
	set(o, "status.replicas", int64(2))
	set(o, "status.selector", "role=one")

	o, err := a.objects.UpdateStatus(t.Context(), o, metav1.UpdateOptions{})
	must(t, err)

	read, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{}, "scale")
	must(t, err)

	shown := &autoscalingv1.Scale{}
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(read.Object, shown))

	want := &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v1", Kind: "Scale"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: 3},
		Status: autoscalingv1.ScaleStatus{Replicas: 2, Selector: "role=one"},
	}
	if string(encode(t, shown)) != string(encode(t, want)) {
		t.Errorf("shown is\n%s, want\n%s", encode(t, shown), encode(t, want))
	}

	set(read, "spec.replicas", int64(5))
	set(read, "status.replicas", int64(99))

	read, err = a.scaled(t, read)
	must(t, err)

	o = a.reload(t, o)
	if at(o, "spec.replicas") != "5" || at(o, "status.replicas") != "2" || o.GetGeneration() != 2 || at(read, "spec.replicas") != "5" || read.GetResourceVersion() != o.GetResourceVersion() {
		t.Errorf("scaled to %v, shown as %v", o.Object, read.Object)
	}

	set(read, "spec.replicas", int64(0)) // which is not the same as none

	_, err = a.scaled(t, read)
	must(t, err)

	if o = a.reload(t, o); at(o, "spec.replicas") != "0" {
		t.Errorf("scaled to %v", o.Object)
	}
}

func testScalePatches(t *testing.T, a api) {
	o := a.create(t, a.whole("one", "spec.replicas", int64(3)))

	scaled, err := a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(`{"spec":{"replicas":7}}`), metav1.PatchOptions{}, "scale")
	must(t, err)

	if scaled.GetKind() != "Scale" || at(a.reload(t, o), "spec.replicas") != "7" {
		t.Errorf("scaled to %v", scaled.Object)
	}

	operations := `[{"op":"test","path":"/spec/replicas","value":7},{"op":"replace","path":"/spec/replicas","value":9}]`
	_, err = a.objects.Patch(t.Context(), o.GetName(), types.JSONPatchType, []byte(operations), metav1.PatchOptions{}, "scale")
	must(t, err)

	_, err = a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(`{"spec":{"replicas":1}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "scale")
	must(t, err)

	if now := at(a.reload(t, o), "spec.replicas"); now != "9" {
		t.Errorf("there are %s replicas", now)
	}
}

func testScaleRefused(t *testing.T, a api) {
	o := a.create(t, a.whole("one", "spec.replicas", int64(3)))

	stale, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{}, "scale")
	must(t, err)

	a.merge(t, o, a.text.path, a.text.one)
	set(stale, "spec.replicas", int64(5))

	_, err = a.scaled(t, stale)
	refused(t, "an old resourceVersion", err, metav1.StatusReasonConflict)

	few, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{}, "scale")
	must(t, err)
	set(few, "spec.replicas", int64(-1))

	_, err = a.scaled(t, few)
	refused(t, "less than none", err, metav1.StatusReasonInvalid, "spec.replicas: Invalid value: -1")

	few.SetResourceVersion("") // then it is not conditional
	set(few, "spec.replicas", int64(4))

	_, err = a.scaled(t, few)
	must(t, err)

	few.SetName(a.id + "-none")

	_, err = a.scaled(t, few)
	refused(t, "what is not there", err, metav1.StatusReasonNotFound)

	wrong := a.object("one")
	if _, err = a.scaled(t, wrong); err == nil {
		t.Error("an object of the kind is no scale")
	}

	if now := at(a.reload(t, o), "spec.replicas"); now != "4" {
		t.Errorf("there are %s replicas", now)
	}
}

// testScaleOwners looks at who owns the replicas when the scale is written.
func testScaleOwners(t *testing.T, a api) {
	o := a.apply(t, "ann", a.whole("one", "spec.replicas", int64(3)))

	_, err := a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{FieldManager: "auto"}, "scale")
	must(t, err)

	o = a.reload(t, o)
	if owners(o, "spec.replicas") != "auto Update" {
		t.Errorf("scaled, the replicas are of %q", owners(o, "spec.replicas"))
	}

	_, err = a.objects.Apply(t.Context(), o.GetName(), a.whole("one", "spec.replicas", int64(3)), metav1.ApplyOptions{FieldManager: "ann"})
	refused(t, "apply the replicas again", err, metav1.StatusReasonConflict, `"auto"`, ".spec.replicas")

	if !strings.Contains(owners(a.apply(t, "ann", a.whole("one")), "spec.replicas"), "auto") {
		t.Error("who scales does not own the replicas")
	}
}

func testNoScale(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	_, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{}, "scale")
	refused(t, "read the scale", err, metav1.StatusReasonNotFound)
}
