package apiserver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func testVerbs(t *testing.T, a api) {
	s := server("verbs")
	s.Spec = v1alpha2.ServerSpec{Hostname: "first", StrategicPatches: []string{"a: one", "a: two"}}
	a.create(t, s)

	if s.UID == "" || s.ResourceVersion == "" || s.Generation != 1 || s.CreationTimestamp.IsZero() {
		t.Errorf("created with metadata %+v", s.ObjectMeta)
	}

	if err := a.client.Create(t.Context(), server("verbs")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("create again: %v", err)
	}

	stale := s.DeepCopy()
	s.Spec.Cordoned = true
	must(t, a.client.Update(t.Context(), s))

	if err := a.client.Update(t.Context(), stale); !apierrors.IsConflict(err) {
		t.Errorf("update with an old resourceVersion: %v", err)
	}

	unconditional := s.DeepCopy()
	unconditional.ResourceVersion = ""

	if err := a.client.Update(t.Context(), unconditional); !apierrors.IsInvalid(err) {
		t.Errorf("update without a resourceVersion: %v", err)
	}

	for _, patch := range []client.Patch{
		client.RawPatch(types.MergePatchType, []byte(`{"spec":{"hostname":"second","bmc":{"endpoint":"10.0.0.1"}}}`)),
		client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/spec/strategicPatches/0"}]`)),
		client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cordoned":null}}`)),
	} {
		must(t, a.client.Patch(t.Context(), s, patch))
	}

	a.reload(t, s)

	if s.Spec.Hostname != "second" || s.Spec.Cordoned || s.Spec.BMC.Endpoint != "10.0.0.1" || !slices.Equal(s.Spec.StrategicPatches, []string{"a: two"}) {
		t.Errorf("after patches: %+v", s.Spec)
	}

	failing := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"test","path":"/spec/hostname","value":"other"}]`))
	if err := a.client.Patch(t.Context(), s, failing); !apierrors.IsInvalid(err) {
		t.Errorf("a patch whose test fails: %v", err)
	}

	wrongUID := client.Preconditions{UID: new(types.UID)}
	if err := a.client.Delete(t.Context(), s, wrongUID); !apierrors.IsConflict(err) {
		t.Errorf("delete with another uid: %v", err)
	}

	must(t, a.client.Delete(t.Context(), s))

	if err := a.client.Get(t.Context(), client.ObjectKeyFromObject(s), s); !apierrors.IsNotFound(err) {
		t.Errorf("after deletion: %v", err)
	}
}

func testWatch(t *testing.T, a api) {
	list := &v1alpha2.ServerList{}
	watched := client.MatchingLabels{"test": "watch"}
	must(t, a.client.List(t.Context(), list, watched))

	watcher, err := a.client.Watch(t.Context(), list, watched, &client.ListOptions{Raw: &metav1.ListOptions{
		ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true,
		SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}})
	must(t, err)

	defer watcher.Stop()

	expect := func(kind watch.EventType) {
		t.Helper()

		for event := range watcher.ResultChan() {
			switch event.Type {
			case kind:
				return
			case watch.Bookmark: // one may come at any time
			default:
				t.Fatalf("got %s %v, want %s", event.Type, event.Object, kind)
			}
		}

		t.Fatalf("the watch ended before %s", kind)
	}

	expect(watch.Bookmark) // the end of what was there: nothing

	s := server("watched")
	s.Labels = map[string]string{"test": "watch"}
	a.create(t, server("not-watched"), s)
	expect(watch.Added)

	s.Spec.Hostname = "changed"
	must(t, a.client.Update(t.Context(), s))
	expect(watch.Modified)

	s.Labels = nil // it leaves what is watched
	must(t, a.client.Update(t.Context(), s))
	expect(watch.Deleted)
}

func testDeleteCollection(t *testing.T, a api) {
	for i := range 3 {
		s := server(fmt.Sprintf("collection-%d", i))
		s.Labels = map[string]string{"collection": fmt.Sprint(i > 0)}
		a.create(t, s)
	}

	must(t, a.client.DeleteAllOf(t.Context(), &v1alpha2.Server{}, client.MatchingLabels{"collection": "true"}))

	if names := a.names(t, client.HasLabels{"collection"}); !slices.Equal(names, []string{"collection-0"}) {
		t.Errorf("left are %v", names)
	}
}

// names lists servers.
func (a api) names(t *testing.T, options ...client.ListOption) []string {
	t.Helper()

	list := &v1alpha2.ServerList{}
	must(t, a.client.List(t.Context(), list, options...))

	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}

	return names
}

func testFinalizer(t *testing.T, a api) {
	s := server("held")
	s.Finalizers = []string{v1alpha2.ServerFinalizer}
	a.create(t, s)
	must(t, a.client.Delete(t.Context(), s))
	a.reload(t, s)

	if s.DeletionTimestamp.IsZero() {
		t.Error("it is not being deleted")
	}

	s.Finalizers = append(s.Finalizers, "example.com/late")
	if err := a.client.Update(t.Context(), s); !apierrors.IsInvalid(err) {
		t.Errorf("add a finalizer to an object under deletion: %v", err)
	}

	s.Finalizers = nil
	must(t, a.client.Update(t.Context(), s))

	if err := a.client.Get(t.Context(), client.ObjectKeyFromObject(s), s); !apierrors.IsNotFound(err) {
		t.Errorf("without its finalizer: %v", err)
	}
}

func testFieldSelectors(t *testing.T, a api) {
	accepted, used, plain := server("select-accepted"), server("select-used"), server("select-plain")
	for _, s := range []*v1alpha2.Server{accepted, used, plain} {
		s.Labels = map[string]string{"test": "select"}
		s.Spec.Accepted = s == accepted
		a.create(t, s)
	}

	used.Status = v1alpha2.ServerStatus{InUse: true, IsClean: true, Power: v1alpha2.PowerOn}
	must(t, a.client.Status().Update(t.Context(), used))

	for selector, want := range map[string]string{
		"spec.accepted=true":                     "select-accepted",
		"spec.accepted!=true":                    "select-plain select-used",
		"status.inUse=true":                      "select-used",
		"status.isClean=false":                   "select-accepted select-plain",
		"status.power=on":                        "select-used",
		"status.power=":                          "select-accepted select-plain",
		"metadata.name=select-plain":             "select-plain",
		"spec.accepted=false,status.inUse!=true": "select-plain",
	} {
		parsed, err := fields.ParseSelector(selector)
		must(t, err)

		if got := strings.Join(a.names(t, client.MatchingLabels{"test": "select"}, client.MatchingFieldsSelector{Selector: parsed}), " "); got != want {
			t.Errorf("%s selects %q, want %q", selector, got, want)
		}
	}

	for _, unknown := range []string{"spec.hostname", "status", "accepted"} {
		err := a.client.List(t.Context(), &v1alpha2.ServerList{}, client.MatchingFields{unknown: "x"})
		if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), unknown) {
			t.Errorf("unknown selector %s: %v", unknown, err)
		}
	}
}

// testOversize writes more than etcd takes. Nothing else may notice.
func testOversize(t *testing.T, a api) {
	witness := server("witness")
	a.create(t, witness)

	const megabyte = 1 << 20

	patches := server("oversize-patches")
	patches.Spec.StrategicPatches = []string{"a: " + strings.Repeat("p", 2*megabyte)}

	annotations := server("oversize-annotations")
	annotations.Annotations = map[string]string{"example.com/big": strings.Repeat("a", 2*megabyte)}

	for _, s := range []*v1alpha2.Server{patches, annotations} {
		if err := a.client.Create(t.Context(), s); !apierrors.IsRequestEntityTooLargeError(err) {
			t.Errorf("%s: %.200v", s.Name, err)
		}
	}

	annotations.Annotations["example.com/big"] = annotations.Annotations["example.com/big"][:megabyte]
	if err := a.client.Create(t.Context(), annotations); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.annotations") {
		t.Errorf("%s: %.200v", annotations.Name, err)
	}

	patches.Spec.StrategicPatches[0] = patches.Spec.StrategicPatches[0][:megabyte+megabyte/3] // a Secret of the largest size is as long
	a.create(t, patches)

	growing := client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, `[{"op":"add","path":"/spec/strategicPatches/-","value":%q}]`, "a: "+strings.Repeat("p", megabyte)))
	if err := a.client.Patch(t.Context(), patches, growing); err == nil || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("%s: %.200v", patches.Name, err)
	}

	before := witness.ResourceVersion
	a.reload(t, witness)

	if witness.ResourceVersion != before {
		t.Error("another object changed")
	}

	must(t, a.Server.Ready(t.Context()))
	a.create(t, server("after-oversize"))
}

func testGeneration(t *testing.T, a api) {
	s := server("generation")
	a.create(t, s)

	for _, step := range []struct {
		name       string
		change     func()
		write      func(context.Context, client.Object) error
		generation int64
		unchanged  bool
	}{
		{"labels", func() { s.Labels = map[string]string{"a": "b"} }, update(a), 1, false},
		{"nothing", func() {}, update(a), 1, true},
		{"spec", func() { s.Spec.Accepted = true }, update(a), 2, false},
		{"status", func() { s.Status.Power = v1alpha2.PowerOn }, updateStatus(a), 2, false},
		{"the same status", func() {}, updateStatus(a), 2, true},
		{"an empty list for none", func() { s.Spec.StrategicPatches = []string{} }, update(a), 2, true},
		{"a generation of one's own", func() { s.Generation = 99 }, update(a), 2, true},
	} {
		before := s.ResourceVersion

		step.change()
		must(t, step.write(t.Context(), s))

		if s.Generation != step.generation {
			t.Errorf("%s: generation %d, want %d", step.name, s.Generation, step.generation)
		}

		if unchanged := s.ResourceVersion == before; unchanged != step.unchanged {
			t.Errorf("%s: resourceVersion unchanged %t, want %t", step.name, unchanged, step.unchanged)
		}
	}
}

func update(a api) func(context.Context, client.Object) error {
	return func(ctx context.Context, o client.Object) error { return a.client.Update(ctx, o) }
}

func updateStatus(a api) func(context.Context, client.Object) error {
	return func(ctx context.Context, o client.Object) error { return a.client.Status().Update(ctx, o) }
}

func testStatusIsSeparate(t *testing.T, a api) {
	s := server("separate")
	s.Status.Power = v1alpha2.PowerOn
	a.create(t, s)

	if s.Status.Power != "" {
		t.Errorf("created with status %+v", s.Status)
	}

	s.Spec.Hostname, s.Status.InUse = "kept", true
	must(t, a.client.Update(t.Context(), s))

	if s.Spec.Hostname != "kept" || s.Status.InUse {
		t.Errorf("the main endpoint wrote %+v %+v", s.Spec, s.Status)
	}

	s.Spec.Hostname, s.Spec.PXEMode = "lost", "nonsense"
	s.Labels, s.Annotations = map[string]string{"lost": ""}, map[string]string{"lost": ""}
	s.Finalizers = []string{"example.com/lost"}
	s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "default", UID: "lost"}}
	s.Status = v1alpha2.ServerStatus{
		Ready: true, Power: v1alpha2.PowerOff,
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
	}
	must(t, a.client.Status().Update(t.Context(), s))
	a.reload(t, s)

	if s.Spec.Hostname != "kept" || s.Spec.PXEMode != "" || s.Labels != nil || s.Annotations != nil || s.Finalizers != nil || s.OwnerReferences != nil {
		t.Errorf("the status endpoint wrote %+v %+v", s.ObjectMeta, s.Spec)
	}

	if !s.Status.Ready || s.Status.Power != v1alpha2.PowerOff || len(s.Status.Addresses) != 1 {
		t.Errorf("the status endpoint did not write the status: %+v", s.Status)
	}

	twice := s.DeepCopy()
	twice.Status.Conditions = v1alpha2.Conditions{{Type: "A", Status: "True"}, {Type: "A", Status: "False"}}

	if err := a.client.Status().Update(t.Context(), twice); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "status.conditions[1].type: Duplicate value") {
		t.Errorf("two conditions of a type: %v", err)
	}

	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"lost":""}},"spec":{"accepted":true},"status":{"power":"on"}}`))
	must(t, a.client.Status().Patch(t.Context(), s, patch))

	if s.Labels != nil || s.Spec.Accepted || s.Status.Power != v1alpha2.PowerOn {
		t.Errorf("a patch of the status wrote %+v %+v %+v", s.Labels, s.Spec, s.Status)
	}
}

func testStatusOfClass(t *testing.T, a api) {
	class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "status"}}
	environment := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "status"}}
	a.create(t, class, environment)

	if class.Status.ServersAvailable == nil || class.Status.ServersInUse == nil {
		t.Errorf("lists are null: %+v", class.Status)
	}

	class.Status.ServersAvailable = []string{"one"}
	environment.Status.Conditions = []v1alpha2.AssetCondition{{Status: "True", Type: v1alpha2.AssetConditionReady}}

	for _, object := range []client.Object{class, environment} {
		must(t, a.client.Status().Update(t.Context(), object))
		a.reload(t, object)
	}

	if !slices.Equal(class.Status.ServersAvailable, []string{"one"}) || len(environment.Status.Conditions) != 1 {
		t.Errorf("got %+v and %+v", class.Status, environment.Status)
	}
}
