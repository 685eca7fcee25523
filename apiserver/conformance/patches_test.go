package conformance_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func patches() []row {
	return []row{
		{name: "patches/JSON patch", test: testJSONPatch},
		{name: "patches/merge patch", test: testMergePatch},
		{name: "patches/what does not apply", test: testUnappliable},
		{name: "patches/what validation refuses", test: testRefusedPatch},
		{name: "patches/what is no patch", test: testNoPatch},
		{name: "patches/what cannot change", test: testPatchIdentity},
	}
}

// pointer is a field's path as JSON patches write it.
func pointer(path string) string { return "/" + strings.ReplaceAll(path, ".", "/") }

func (a api) patch(t *testing.T, name string, kind types.PatchType, patch string) error {
	t.Helper()

	_, err := a.objects.Patch(t.Context(), a.id+"-"+name, kind, []byte(patch), metav1.PatchOptions{})

	return err
}

func testJSONPatch(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))

	for _, step := range []struct{ operations, want string }{
		{`{"op":"test","path":"%[1]s","value":"%[2]s"},{"op":"replace","path":"%[1]s","value":"%[3]s"}`, a.text.two},
		{`{"op":"remove","path":"%[1]s"}`, ""},
		{`{"op":"add","path":"%[1]s","value":"%[2]s"}`, a.text.one},
		{`{"op":"add","path":"/metadata/finalizers","value":["example.com/a"]},{"op":"add","path":"/metadata/finalizers/-","value":"example.com/b"}`, a.text.one},
		{`{"op":"remove","path":"/metadata/finalizers/0"}`, a.text.one},
		{`{"op":"copy","from":"%[1]s","path":"/metadata/annotations/text"}`, a.text.one},
		{`{"op":"remove","path":"/metadata/finalizers"}`, a.text.one},
	} {
		if strings.Contains(step.operations, "annotations") {
			a.merge(t, o, "metadata.annotations.a", "b")
		}

		patch := strings.NewReplacer("%[1]s", pointer(a.text.path), "%[2]s", a.text.one, "%[3]s", a.text.two).Replace(step.operations)
		must(t, a.patch(t, "one", types.JSONPatchType, "["+patch+"]"))

		if o = a.reload(t, o); at(o, a.text.path) != step.want {
			t.Errorf("%s made %q, want %q", patch, at(o, a.text.path), step.want)
		}
	}

	if o.GetFinalizers() != nil || o.GetAnnotations()["text"] != a.text.one {
		t.Errorf("in the end it is %v", o.Object)
	}

	must(t, a.patch(t, "one", types.JSONPatchType, "[]"))

	if now := a.reload(t, o); now.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("an empty patch changed the object")
	}
}

func testMergePatch(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))
	a.merge(t, o, "metadata.annotations.a", "1")
	o = a.merge(t, o, "metadata.annotations.b", "2")

	if o.GetAnnotations()["a"] != "1" || o.GetAnnotations()["b"] != "2" || at(o, a.text.path) != a.text.one {
		t.Errorf("merged to %v", o.Object)
	}

	if same := a.merge(t, o, "metadata.annotations.b", "2"); same.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("a patch that changes nothing changed the object")
	}

	o = a.merge(t, o, "metadata.finalizers", []any{"example.com/a", "example.com/b"})
	o = a.merge(t, o, "metadata.finalizers", []any{"example.com/b"})
	o = a.merge(t, o, a.text.path, nil)

	if at(o, a.text.path) != "" || len(o.GetFinalizers()) != 1 {
		t.Errorf("merged to %v", o.Object)
	}

	err := a.patch(t, "none", types.MergePatchType, "{}")
	refused(t, "patch what is not there", err, metav1.StatusReasonNotFound, a.id+"-none")
}

func testUnappliable(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))

	for name, patch := range map[string]string{
		"a test that fails":     `[{"op":"test","path":"` + pointer(a.text.path) + `","value":"` + a.text.two + `"}]`,
		"remove what is not":    `[{"op":"remove","path":"/spec/nothing"}]`,
		"replace below what is": `[{"op":"replace","path":"/spec/nothing/at/all","value":1}]`,
		"past a list's end":     `[{"op":"add","path":"/metadata/managedFields/9","value":{}}]`,
	} {
		err := a.patch(t, "one", types.JSONPatchType, patch)
		path := strings.Split(patch, `"`)[7]
		refused(t, name, err, metav1.StatusReasonInvalid, path)
	}

	if now := a.reload(t, o); now.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("a refused patch changed the object")
	}
}

// testRefusedPatch makes the same invalid object by each kind of patch.
func testRefusedPatch(t *testing.T, a api) {
	a.create(t, a.object("one"))

	for kind, patch := range map[types.PatchType]string{
		types.MergePatchType: string(encode(t, nested(a.refused.path, a.refused.value))),
		types.JSONPatchType:  fmt.Sprintf(`[{"op":"add","path":%q,"value":%s}]`, pointer(a.refused.path), encode(t, a.refused.value)),
		types.ApplyPatchType: string(encode(t, a.whole("one", a.refused.path, a.refused.value))),
	} {
		_, err := a.objects.Patch(t.Context(), a.id+"-one", kind, []byte(patch), metav1.PatchOptions{FieldManager: "ann", Force: force(kind)})
		refused(t, string(kind), err, metav1.StatusReasonInvalid, a.refused.path+": Invalid value")

		if got := causes(err); len(got) != 1 || got[0] != a.refused.path {
			t.Errorf("%s: the causes are %q", kind, got)
		}
	}

	for kind, patch := range map[types.PatchType]string{
		types.MergePatchType: string(encode(t, nested(a.mistyped.path, a.mistyped.value))),
		types.JSONPatchType:  fmt.Sprintf(`[{"op":"add","path":%q,"value":%s}]`, pointer(a.mistyped.path), encode(t, a.mistyped.value)),
	} {
		err := a.patch(t, "one", kind, patch)
		refused(t, "a wrong type by "+string(kind), err, metav1.StatusReasonInvalid, a.mistyped.path, "type")

		if got := causes(err); len(got) != 1 || got[0] != a.mistyped.path {
			t.Errorf("a wrong type by %s: the causes are %q", kind, got)
		}
	}
}

// force is what only server-side apply knows.
func force(kind types.PatchType) *bool {
	if kind != types.ApplyPatchType {
		return nil
	}

	return new(true)
}

func testNoPatch(t *testing.T, a api) {
	a.create(t, a.object("one"))

	for name, c := range map[string]struct {
		kind   types.PatchType
		patch  string
		reason metav1.StatusReason
	}{
		"broken JSON":               {types.MergePatchType, `{"spec":`, metav1.StatusReasonBadRequest},
		"a merge patch as a list":   {types.MergePatchType, `[]`, metav1.StatusReasonBadRequest},
		"a JSON patch as an object": {types.JSONPatchType, `{"spec":{}}`, metav1.StatusReasonBadRequest},
		"an unknown media type":     {"application/nonsense+json", `{}`, metav1.StatusReasonUnsupportedMediaType},
		"too many operations":       {types.JSONPatchType, "[" + strings.Repeat(`{"op":"test","path":"/kind"},`, 10000) + `{"op":"test","path":"/kind"}]`, metav1.StatusReasonRequestEntityTooLarge},
	} {
		refused(t, name, a.patch(t, "one", c.kind, c.patch), c.reason)
	}

	if err := a.patch(t, "one", types.JSONPatchType, `[{"op":"explode","path":"/spec"}]`); err == nil || !strings.Contains(err.Error(), "explode") {
		t.Errorf("an unknown operation: %v", err)
	}
}

// testPatchIdentity tries to make another object of one.
func testPatchIdentity(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	for name, c := range map[string]struct {
		path  string
		value any
		says  string
	}{
		"name": {"metadata.name", a.id + "-other", "name"},
		"kind": {"kind", "Other", "Other"},
		"uid":  {"metadata.uid", "of-another", "uid"},
	} {
		err := a.patch(t, "one", types.MergePatchType, string(encode(t, nested(c.path, c.value))))
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.says)) {
			t.Errorf("another %s: %v", name, err)
		}
	}

	a.merge(t, o, "metadata.creationTimestamp", "2001-01-01T00:00:00Z")

	if now := a.reload(t, o); now.GetCreationTimestamp() != o.GetCreationTimestamp() {
		t.Errorf("created at %v, later %v", o.GetCreationTimestamp(), now.GetCreationTimestamp())
	}
}
