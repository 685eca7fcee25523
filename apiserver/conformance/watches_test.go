package conformance_test

import (
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

func watches() []row {
	return []row{
		{name: "watches/what happens", test: testWatch},
		{name: "watches/what has happened", test: testWatchPast},
		{name: "watches/selectors", test: testWatchSelectors},
		{name: "watches/initial events", test: testInitialEvents},
		{name: "watches/bookmarks", test: testBookmarks},
		{name: "watches/a name", test: testWatchName},
		{name: "watches/bad options", test: testBadWatchOptions},
		{name: "watches/in another version", takes: subject.hasOther, test: testWatchOther},
	}
}

// shortWatch is how long watches take that wait for a bookmark: one comes two seconds before the end.
const shortWatch = 8 * time.Second

// stream is a watch.
type stream struct{ watch.Interface }

// watch watches the case's objects until the test ends.
func (a api) watch(t *testing.T, objects dynamic.ResourceInterface, options metav1.ListOptions) stream {
	t.Helper()

	if options.LabelSelector == "" {
		options.LabelSelector = a.mine().LabelSelector
	}

	if options.TimeoutSeconds == nil {
		options.TimeoutSeconds = new(int64(happensWithin.Seconds()))
	}

	w, err := objects.Watch(t.Context(), options)
	must(t, err)
	t.Cleanup(w.Stop)

	return stream{w}
}

// next is the next event, which must be of a type. It passes over bookmarks unless one is asked for.
func (s stream) next(t *testing.T, kind watch.EventType) *unstructured.Unstructured {
	t.Helper()

	for event := range s.ResultChan() {
		o, ok := event.Object.(*unstructured.Unstructured)

		switch {
		case ok && event.Type == kind:
			return o
		case event.Type != watch.Bookmark:
			t.Fatalf("got %s %v, want %s", event.Type, event.Object, kind)
		}
	}

	t.Fatalf("the watch ended before %s", kind)

	return nil
}

func testWatch(t *testing.T, a api) {
	s := a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: a.list(t, metav1.ListOptions{}).GetResourceVersion()})

	created := a.create(t, a.with("one", a.text.one))
	if o := s.next(t, watch.Added); string(encode(t, o)) != string(encode(t, created)) {
		t.Errorf("told\n%s\ncreated\n%s", encode(t, o), encode(t, created))
	}

	changed := a.merge(t, created, a.text.path, a.text.two)
	if o := s.next(t, watch.Modified); string(encode(t, o)) != string(encode(t, changed)) {
		t.Errorf("told\n%s\nchanged to\n%s", encode(t, o), encode(t, changed))
	}

	must(t, a.objects.Delete(t.Context(), created.GetName(), metav1.DeleteOptions{}))

	o := s.next(t, watch.Deleted)
	if at(o, a.text.path) != a.text.two || o.GetUID() != created.GetUID() || number(t, o) <= number(t, changed) {
		t.Errorf("told at deletion %v", o.Object)
	}
}

// number is an object's resourceVersion, which can be compared within a resource.
func number(t *testing.T, o *unstructured.Unstructured) int {
	t.Helper()

	n, err := strconv.Atoi(o.GetResourceVersion())
	must(t, err)

	return n
}

func testWatchPast(t *testing.T, a api) {
	before := a.list(t, metav1.ListOptions{}).GetResourceVersion()
	o := a.create(t, a.object("one"))
	changed := a.merge(t, o, a.text.path, a.text.one)
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))

	s := a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: before})
	s.next(t, watch.Added)
	s.next(t, watch.Modified)
	s.next(t, watch.Deleted)

	s = a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: changed.GetResourceVersion()})
	s.next(t, watch.Deleted)

	a.create(t, a.object("two"))

	for _, version := range []string{"", "0"} { // what is there, as if it were new
		if o := a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: version}).next(t, watch.Added); o.GetName() != a.id+"-two" {
			t.Errorf("from %q: %s", version, o.GetName())
		}
	}
}

func testWatchSelectors(t *testing.T, a api) {
	from := metav1.ListOptions{ResourceVersion: a.list(t, metav1.ListOptions{}).GetResourceVersion()}
	from.LabelSelector = a.mine().LabelSelector + ",color=red"
	red := a.watch(t, a.objects, from)

	from.LabelSelector, from.FieldSelector = "", "metadata.name="+a.id+"-two"
	two := a.watch(t, a.objects, from)

	a.create(t, a.object("one"))

	o := a.create(t, a.object("two"))
	a.merge(t, o, "metadata.labels.color", "red")
	a.merge(t, o, a.text.path, a.text.one)
	a.merge(t, o, "metadata.labels.color", "green")
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))

	red.next(t, watch.Added)
	red.next(t, watch.Modified)

	if gone := red.next(t, watch.Deleted); gone.GetLabels()["color"] != "red" {
		t.Errorf("when it leaves what is watched it is told as %v", gone.GetLabels())
	}

	for _, kind := range []watch.EventType{watch.Added, watch.Modified, watch.Modified, watch.Modified, watch.Deleted} {
		if o := two.next(t, kind); o.GetName() != a.id+"-two" {
			t.Errorf("told of %s", o.GetName())
		}
	}
}

func testInitialEvents(t *testing.T, a api) {
	a.few(t, "a b")

	s := a.watch(t, a.objects, metav1.ListOptions{
		SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})

	if one, two := s.next(t, watch.Added), s.next(t, watch.Added); a.id+"-a "+a.id+"-b" != one.GetName()+" "+two.GetName() {
		t.Errorf("initial events of %s and %s", one.GetName(), two.GetName())
	}

	end := s.next(t, watch.Bookmark)
	if end.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" || end.GroupVersionKind() != a.GroupVersionKind || end.GetResourceVersion() == "" {
		t.Errorf("the end of the initial events is %v", end.Object)
	}

	// From the end on goes another watch as this one does.
	other := a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: end.GetResourceVersion()})
	a.create(t, a.object("c"))

	for _, w := range []stream{s, other} {
		if o := w.next(t, watch.Added); o.GetName() != a.id+"-c" {
			t.Errorf("then told of %s", o.GetName())
		}
	}
}

// testBookmarks watches where nothing happens. Before it ends the watch must tell how far it has come.
func testBookmarks(t *testing.T, a api) {
	s := a.watch(t, a.objects, metav1.ListOptions{
		ResourceVersion: a.list(t, metav1.ListOptions{}).GetResourceVersion(), LabelSelector: a.mine().LabelSelector + ",nobody",
		AllowWatchBookmarks: true, TimeoutSeconds: new(int64(shortWatch.Seconds())),
	})
	elsewhere := a.create(t, a.object("one"))

	for {
		mark := s.next(t, watch.Bookmark)
		if mark.GroupVersionKind() != a.GroupVersionKind || mark.GetName() != "" {
			t.Fatalf("the bookmark is %v", mark.Object)
		}

		if number(t, mark) >= number(t, elsewhere) {
			return
		}
	}
}

func testWatchName(t *testing.T, a api) {
	o := a.create(t, a.object("one"))
	a.create(t, a.object("two"))

	raw, err := a.rest().Get().AbsPath(a.path(o.GetName())).Param("watch", "true").Param("timeoutSeconds", "1").DoRaw(t.Context())
	must(t, err)

	if events := lines(string(raw)); len(events) != 1 {
		t.Errorf("told of one object: %q", events)
	}
}

func testBadWatchOptions(t *testing.T, a api) {
	for name, c := range map[string]struct {
		options metav1.ListOptions
		reason  metav1.StatusReason
		says    string
	}{
		"a match alone":                {metav1.ListOptions{ResourceVersion: "5", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, metav1.StatusReasonInvalid, "resourceVersionMatch"},
		"initial events without match": {metav1.ListOptions{SendInitialEvents: new(true)}, metav1.StatusReasonInvalid, "sendInitialEvents"},
		"initial events of a past": {
			metav1.ListOptions{SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchExact, ResourceVersion: "5"},
			metav1.StatusReasonInvalid, "resourceVersionMatch",
		},
		"an unknown field":        {metav1.ListOptions{FieldSelector: "nonsense=x"}, metav1.StatusReasonBadRequest, "nonsense"},
		"a broken label selector": {metav1.ListOptions{LabelSelector: "color in red"}, metav1.StatusReasonBadRequest, "unable to parse requirement"},
	} {
		w, err := a.objects.Watch(t.Context(), c.options)
		if err == nil {
			w.Stop()
		}

		refused(t, name, err, c.reason, c.says)
	}
}

// testWatchOther watches in one version what is written in another.
func testWatchOther(t *testing.T, a api) {
	other := a
	other.Version = a.other
	other.objects = other.as(a.Admin)

	from := metav1.ListOptions{ResourceVersion: a.list(t, metav1.ListOptions{}).GetResourceVersion(), AllowWatchBookmarks: true, TimeoutSeconds: new(int64(shortWatch.Seconds()))}
	newer, older := a.watch(t, a.objects, from), a.watch(t, other.objects, from)

	a.create(t, a.with("one", a.text.one))

	for kind, s := range map[string]stream{a.Version: newer, a.other: older} {
		if o := s.next(t, watch.Added); o.GroupVersionKind().Version != kind || at(o, a.text.path) != a.text.one {
			t.Errorf("in %s: %v", kind, o.Object)
		}

		if o := s.next(t, watch.Bookmark); o.GroupVersionKind().Version != kind {
			t.Errorf("bookmark in %s: %v", kind, o.Object)
		}
	}
}
