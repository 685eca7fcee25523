package conformance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func verbs() []row {
	return []row{
		{name: "verbs/create", test: testCreate},
		{name: "verbs/create what the server sets", test: testCreateServerFields},
		{name: "verbs/create in the wrong place", test: testWrongPlace},
		{name: "verbs/update", test: testUpdate},
		{name: "verbs/update conflicts", test: testUpdateConflicts},
		{name: "verbs/generation", test: testGeneration},
		{name: "verbs/delete", test: testDelete},
		{name: "verbs/delete collection", test: testDeleteCollection},
		{name: "verbs/dry run", test: testDryRun},
	}
}

func testCreate(t *testing.T, a api) {
	before := time.Now().Add(-time.Second).Truncate(time.Second)
	o := a.create(t, a.with("one", a.text.one))

	if o.GetUID() == "" || o.GetResourceVersion() == "" || o.GetGeneration() != 1 || o.GetCreationTimestamp().Time.Before(before) {
		t.Errorf("created with metadata %v", o.Object["metadata"])
	}

	if o.GroupVersionKind() != a.GroupVersionKind || at(o, a.text.path) != a.text.one || o.GetLabels()[caseLabel] != a.id {
		t.Errorf("created %v", o.Object)
	}

	entries := o.GetManagedFields()
	if len(entries) != 1 || entries[0].Manager != manager || entries[0].Operation != metav1.ManagedFieldsOperationUpdate ||
		!a.known(entries[0].APIVersion) || entries[0].Subresource != "" || entries[0].FieldsType != "FieldsV1" ||
		!strings.Contains(entries[0].FieldsV1.GetRawString(), `"f:spec"`) {
		t.Errorf("created with managed fields %v", entries)
	}

	if read := a.reload(t, o); string(encode(t, read)) != string(encode(t, o)) {
		t.Errorf("read\n%s\nafter creating\n%s", encode(t, read), encode(t, o))
	}

	_, err := a.objects.Create(t.Context(), a.object("one"), metav1.CreateOptions{})
	refused(t, "create again", err, metav1.StatusReasonAlreadyExists, a.groupResource().String(), o.GetName())

	_, err = a.objects.Get(t.Context(), a.id+"-none", metav1.GetOptions{})
	refused(t, "get another", err, metav1.StatusReasonNotFound, a.groupResource().String(), a.id+"-none")
}

// testCreateServerFields gives metadata that is not the client's to give.
func testCreateServerFields(t *testing.T, a api) {
	o := a.object("given")
	o.SetUID("of-the-client")
	o.SetCreationTimestamp(metav1.Unix(0, 0))
	o.SetDeletionTimestamp(new(metav1.Unix(0, 0)))
	o.SetDeletionGracePeriodSeconds(new(int64(7)))
	o.SetGeneration(99)
	o.SetSelfLink("/of/the/client")
	set(o, a.note.path, a.note.one)

	o = a.create(t, o)

	if o.GetUID() == "of-the-client" || o.GetCreationTimestamp().Unix() == 0 || o.GetDeletionTimestamp() != nil ||
		o.GetDeletionGracePeriodSeconds() != nil || o.GetGeneration() != 1 || o.GetSelfLink() != "" || at(o, a.note.path) != "" {
		t.Errorf("created %v", o.Object)
	}

	versioned := a.object("versioned")
	versioned.SetResourceVersion("1")

	if _, err := a.objects.Create(t.Context(), versioned, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "resourceVersion should not be set") {
		t.Errorf("create with a resourceVersion: %v", err)
	}
}

// otherKind is one that no subject has.
const otherKind = "Other"

func testWrongPlace(t *testing.T, a api) {
	for name, c := range map[string]struct {
		change func(*unstructured.Unstructured)
		says   string
	}{
		"another version": {func(o *unstructured.Unstructured) { o.SetAPIVersion(a.Group + "/v77") }, "v77"},
		"another group":   {func(o *unstructured.Unstructured) { o.SetAPIVersion("other.example.com/" + a.Version) }, "other.example.com"},
	} {
		o := a.object("lost")
		c.change(o)

		err := a.send(t, http.MethodPost, a.path(), o)
		refused(t, name, err, metav1.StatusReasonBadRequest, c.says)
	}

	if a.namespaced {
		o := a.object("lost")
		o.SetNamespace("elsewhere")

		err := a.send(t, http.MethodPost, a.path(), o)
		refused(t, "another namespace", err, metav1.StatusReasonBadRequest, "namespace")
	}

	o := a.create(t, a.object("here"))
	name := o.GetName()
	o.SetName(a.id + "-other")

	err := a.send(t, http.MethodPut, a.path(name), o)
	refused(t, "update under another name", err, metav1.StatusReasonBadRequest, "name")

	o = a.object("lost")
	o.SetKind(otherKind)

	err = a.send(t, http.MethodPost, a.path(), o)
	if !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), otherKind) { // native and custom
		t.Errorf("another kind: %v", err)
	}

	err = a.rest().Get().AbsPath(a.path(name, "nothing")).Do(t.Context()).Error()
	refused(t, "read an unknown subresource", err, metav1.StatusReasonNotFound)
}

func testUpdate(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))
	before := o.DeepCopy()

	set(o, a.text.path, a.text.two)
	o.SetAnnotations(map[string]string{"a": "b"})
	o.SetGeneration(99)
	o.SetCreationTimestamp(metav1.Unix(1, 0))
	o.SetSelfLink("/of/the/client")
	o = a.update(t, o)

	if at(o, a.text.path) != a.text.two || o.GetAnnotations()["a"] != "b" || o.GetResourceVersion() == before.GetResourceVersion() {
		t.Errorf("updated to %v", o.Object)
	}

	if o.GetUID() != before.GetUID() || o.GetGeneration() != 2 || !o.GetCreationTimestamp().Time.Equal(before.GetCreationTimestamp().Time) || o.GetSelfLink() != "" {
		t.Errorf("updated to metadata %v", o.Object["metadata"])
	}

	unset(o, a.text.path)

	if o = a.update(t, o); at(o, a.text.path) != "" {
		t.Errorf("%s stays", a.text.path)
	}

	rv := o.GetResourceVersion()
	if o = a.update(t, o); o.GetResourceVersion() != rv {
		t.Errorf("an update that changes nothing makes resourceVersion %s of %s", o.GetResourceVersion(), rv)
	}

	_, err := a.objects.Update(t.Context(), a.object("none"), metav1.UpdateOptions{})
	refused(t, "update what is not there, without a resourceVersion", err, metav1.StatusReasonNotFound, a.id+"-none")
}

func testUpdateConflicts(t *testing.T, a api) {
	stale := a.create(t, a.object("one"))
	o := a.merge(t, stale, a.text.path, a.text.one)

	_, err := a.objects.Update(t.Context(), stale, metav1.UpdateOptions{})
	refused(t, "an old resourceVersion", err, metav1.StatusReasonConflict, "the object has been modified")

	unconditional := o.DeepCopy()
	unconditional.SetResourceVersion("")

	_, err = a.objects.Update(t.Context(), unconditional, metav1.UpdateOptions{})
	refused(t, "no resourceVersion", err, metav1.StatusReasonInvalid, "metadata.resourceVersion")

	other := o.DeepCopy()
	other.SetUID("of-another")

	_, err = a.objects.Update(t.Context(), other, metav1.UpdateOptions{})
	refused(t, "another UID", err, metav1.StatusReasonConflict, "UID")

	broken := o.DeepCopy()
	broken.SetResourceVersion("nonsense")

	if _, err = a.objects.Update(t.Context(), broken, metav1.UpdateOptions{}); err == nil {
		t.Error("updated with a broken resourceVersion")
	}

	merge := encode(t, map[string]any{"metadata": map[string]any{"resourceVersion": stale.GetResourceVersion(), "annotations": map[string]any{"a": "b"}}})
	_, err = a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, merge, metav1.PatchOptions{})
	refused(t, "a patch with an old resourceVersion", err, metav1.StatusReasonConflict, "the object has been modified")

	if now := a.reload(t, o); now.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("a refused write changed the object")
	}
}

func testGeneration(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	for _, step := range []struct {
		path       string
		value      any
		generation int64
	}{
		{"metadata.labels.more", "yes", 1},
		{"metadata.annotations", map[string]any{"a": "b"}, 1},
		{"metadata.finalizers", []any{"example.com/hold"}, 1},
		{a.text.path, a.text.one, 2},
		{a.text.path, a.text.one, 2},
		{a.note.path, a.note.one, 2}, // not by this way
		{a.text.path, a.text.two, 3},
		{"metadata.finalizers", nil, 3},
	} {
		if o = a.merge(t, o, step.path, step.value); o.GetGeneration() != step.generation {
			t.Errorf("after %s: generation %d, want %d", step.path, o.GetGeneration(), step.generation)
		}
	}
}

func testDelete(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	for name, preconditions := range map[string]metav1.Preconditions{
		"another UID":             {UID: new(types.UID("of-another"))},
		"another resourceVersion": {ResourceVersion: new("1")},
	} {
		err := a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{Preconditions: &preconditions})
		refused(t, name, err, metav1.StatusReasonConflict, "precondition", o.GetName())
	}

	status := &metav1.Status{}
	must(t, a.rest().Delete().AbsPath(a.path(o.GetName())).Do(t.Context()).Into(status))

	if d := status.Details; status.Status != metav1.StatusSuccess || d == nil || d.Name != o.GetName() || d.Group != a.Group || d.Kind != a.resource || d.UID != o.GetUID() {
		t.Errorf("the answer is %v", status)
	}

	_, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{})
	refused(t, "get after deletion", err, metav1.StatusReasonNotFound)

	err = a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{})
	refused(t, "delete again", err, metav1.StatusReasonNotFound, o.GetName())

	_, err = a.objects.Update(t.Context(), o, metav1.UpdateOptions{})
	refused(t, "update after deletion", err, metav1.StatusReasonNotFound)

	if again := a.create(t, a.object("one")); again.GetUID() == o.GetUID() {
		t.Error("a new object has the UID of the old one")
	}
}

func testDeleteCollection(t *testing.T, a api) {
	for _, name := range []string{"a", "b", "c"} {
		o := a.object(name)
		o.SetLabels(map[string]string{caseLabel: a.id, "last": map[bool]string{true: "yes", false: "no"}[name == "c"]})
		a.create(t, o)
	}

	some := metav1.ListOptions{LabelSelector: a.mine().LabelSelector + ",last=no"}

	must(t, a.objects.DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, some))

	if left := a.names(a.list(t, metav1.ListOptions{})); left != "a b c" {
		t.Errorf("after a dry run there are %s", left)
	}

	must(t, a.objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, some))

	if left := a.names(a.list(t, metav1.ListOptions{})); left != "c" {
		t.Errorf("left are %s", left)
	}

	byName := metav1.ListOptions{LabelSelector: a.mine().LabelSelector, FieldSelector: "metadata.name=" + a.id + "-c"}
	must(t, a.objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, byName))

	if left := a.names(a.list(t, metav1.ListOptions{})); left != "" {
		t.Errorf("left are %s", left)
	}
}

func testDryRun(t *testing.T, a api) {
	all := []string{metav1.DryRunAll}

	tried, err := a.objects.Create(t.Context(), a.with("none", a.text.one), metav1.CreateOptions{DryRun: all})
	must(t, err)

	if tried.GetUID() == "" || tried.GetResourceVersion() != "" || at(tried, a.text.path) != a.text.one {
		t.Errorf("the answer to creation is %v", tried.Object)
	}

	_, err = a.objects.Get(t.Context(), tried.GetName(), metav1.GetOptions{})
	refused(t, "get after a dry run", err, metav1.StatusReasonNotFound)

	o := a.create(t, a.object("one"))
	changed := o.DeepCopy()
	set(changed, a.text.path, a.text.one)

	updated, err := a.objects.Update(t.Context(), changed, metav1.UpdateOptions{DryRun: all})
	must(t, err)

	patched, err := a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, encode(t, nested(a.text.path, a.text.two)), metav1.PatchOptions{DryRun: all})
	must(t, err)
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{DryRun: all}))

	if at(updated, a.text.path) != a.text.one || at(patched, a.text.path) != a.text.two || updated.GetGeneration() != 2 {
		t.Errorf("the answers are %v and %v", updated.Object, patched.Object)
	}

	if now := a.reload(t, o); now.GetResourceVersion() != o.GetResourceVersion() || at(now, a.text.path) != "" {
		t.Errorf("dry runs made %v", now.Object)
	}

	_, err = a.objects.Create(t.Context(), a.object("none"), metav1.CreateOptions{DryRun: []string{"Some"}})
	refused(t, "an unknown kind of dry run", err, metav1.StatusReasonInvalid, "dryRun")

	stale := o.DeepCopy()
	stale.SetResourceVersion("1")

	if _, err = a.objects.Update(t.Context(), stale, metav1.UpdateOptions{DryRun: all}); !apierrors.IsConflict(err) {
		t.Errorf("a dry run with an old resourceVersion: %v", err)
	}
}
