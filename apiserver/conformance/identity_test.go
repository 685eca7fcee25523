package conformance_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func identities() []row {
	return []row{
		{name: "identity/metadata is checked", test: testMetadata},
		{name: "identity/generateName", test: testGenerateName},
		{name: "identity/other versions", takes: subject.hasOther, test: testOtherVersion},
		{name: "identity/owners in other versions", takes: subject.hasOther, test: testOwnersByOther},
	}
}

func testMetadata(t *testing.T, a api) {
	for name, c := range map[string]struct {
		change func(*unstructured.Unstructured)
		path   string
	}{
		"name in capitals":  {func(o *unstructured.Unstructured) { o.SetName("Upper") }, "metadata.name"},
		"name too long":     {func(o *unstructured.Unstructured) { o.SetName(strings.Repeat("a", 254)) }, "metadata.name"},
		"label's name":      {func(o *unstructured.Unstructured) { o.SetLabels(map[string]string{"a b": "c"}) }, "metadata.labels"},
		"label's value":     {func(o *unstructured.Unstructured) { o.SetLabels(map[string]string{"a": "b c"}) }, "metadata.labels"},
		"annotation's name": {func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{"a b": "c"}) }, "metadata.annotations"},
		"finalizer":         {func(o *unstructured.Unstructured) { o.SetFinalizers([]string{"a b"}) }, "metadata.finalizers"},
		"owner without a UID": {func(o *unstructured.Unstructured) {
			o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "default"}})
		}, "metadata.ownerReferences.uid"},
		"two controllers": {func(o *unstructured.Unstructured) {
			o.SetOwnerReferences([]metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Namespace", Name: "a", UID: "a", Controller: new(true)},
				{APIVersion: "v1", Kind: "Namespace", Name: "b", UID: "b", Controller: new(true)},
			})
		}, "metadata.ownerReferences"},
	} {
		o := a.object("bad")
		c.change(o)

		_, err := a.objects.Create(t.Context(), o, metav1.CreateOptions{})
		refused(t, name, err, metav1.StatusReasonInvalid, c.path)

		if !slices.Contains(causes(err), c.path) {
			t.Errorf("%s: the causes are %q, want %s", name, causes(err), c.path)
		}
	}

	nameless := a.object("")
	nameless.SetName("")

	_, err := a.objects.Create(t.Context(), nameless, metav1.CreateOptions{})
	refused(t, "no name", err, metav1.StatusReasonInvalid, "name or generateName is required")
}

func testGenerateName(t *testing.T, a api) {
	names := map[string]bool{}

	for range 3 {
		o := a.object("")
		o.SetName("")
		o.SetGenerateName(a.id + "-made-")

		o = a.create(t, o)
		names[o.GetName()] = true

		if !strings.HasPrefix(o.GetName(), a.id+"-made-") || len(o.GetName()) != len(a.id+"-made-")+5 || o.GetGenerateName() != a.id+"-made-" {
			t.Errorf("named %s", o.GetName())
		}
	}

	if len(names) != 3 {
		t.Errorf("three objects are called %v", names)
	}
}

// testOtherVersion writes and reads in a version that is not stored.
func testOtherVersion(t *testing.T, a api) {
	other := a
	other.Version = a.other
	other.objects = other.as(a.Admin)

	o := other.object("one")
	o.Object["spec"] = map[string]any{}
	set(o, a.text.path, a.text.one)
	o = other.create(t, o)

	if o.GroupVersionKind() != other.GroupVersionKind || at(o, a.text.path) != a.text.one {
		t.Errorf("created %v", o.Object)
	}

	newer := a.reload(t, o)
	if newer.GroupVersionKind() != a.GroupVersionKind || at(newer, a.text.path) != a.text.one || newer.GetUID() != o.GetUID() || newer.GetResourceVersion() != o.GetResourceVersion() {
		t.Errorf("read %v", newer.Object)
	}

	a.merge(t, newer, a.text.path, a.text.two)

	if o = other.reload(t, o); at(o, a.text.path) != a.text.two || o.GetGeneration() != 2 {
		t.Errorf("after a change in the stored version: %v", o.Object)
	}

	for version, want := range map[string]api{a.Version: a, a.other: other} {
		list := want.list(t, metav1.ListOptions{})
		if len(list.Items) != 1 || list.GetAPIVersion() != a.Group+"/"+version || list.Items[0].GetAPIVersion() != a.Group+"/"+version {
			t.Errorf("listed in %s: %v", version, list)
		}
	}
}

// testOwnersByOther has one manager write twice in a version that is not stored.
func testOwnersByOther(t *testing.T, a api) {
	a.Version, a.other = a.other, a.Version
	a.objects = a.as(a.Admin)

	o := a.object("one")
	o.Object["spec"] = map[string]any{}
	o = a.create(t, o)
	a.merge(t, o, a.text.path, a.text.one)
	o = a.merge(t, o, "metadata.annotations.a", "b")

	for _, path := range []string{"metadata.labels." + caseLabel, a.text.path, "metadata.annotations.a"} {
		if owners(o, path) != manager+" Update" {
			t.Errorf("%s is of %q: %s", path, owners(o, path), encode(t, o.GetManagedFields()))
		}
	}

	if len(o.GetManagedFields()) != 1 {
		t.Errorf("one manager has %d entries", len(o.GetManagedFields()))
	}

	if same := a.merge(t, o, "metadata.annotations.a", "b"); same.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("a patch that changes nothing changed the object")
	}
}
