package conformance_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func lists() []row {
	return []row{
		{name: "lists/what a list is", test: testList},
		{name: "lists/of all namespaces", takes: subject.inNamespaces, test: testAllNamespaces},
		{name: "lists/label selectors", test: testLabelSelectors},
		{name: "lists/field selectors", test: testFieldSelectors},
		{name: "lists/selectable fields", takes: subject.hasSelectable, test: testSelectableField},
		{name: "lists/pages", test: testPages},
		{name: "lists/pages after changes", test: testPagesAfterChanges},
		{name: "lists/pages after compaction", test: testPagesAfterCompaction},
		{name: "lists/resourceVersion", test: testListVersions},
		{name: "lists/resourceVersion of the future", test: testFutureVersion},
		{name: "lists/bad options", test: testBadListOptions},
	}
}

func testList(t *testing.T, a api) {
	empty := a.list(t, metav1.ListOptions{})
	if empty.Items == nil || len(empty.Items) != 0 || empty.GetResourceVersion() == "" {
		t.Errorf("the empty list is %v", empty)
	}

	for _, name := range []string{"b", "a", "c"} {
		a.create(t, a.with(name, a.text.one))
	}

	list := a.list(t, metav1.ListOptions{})

	if list.GetKind() != a.Kind+"List" || list.GetAPIVersion() != a.GroupVersion().String() || list.GetResourceVersion() == empty.GetResourceVersion() {
		t.Errorf("the list is %v %v", list.GroupVersionKind(), list.Object)
	}

	if names := a.names(list); names != "a b c" {
		t.Errorf("listed are %s", names)
	}

	for _, o := range list.Items {
		if read := a.reload(t, &o); string(encode(t, read)) != string(encode(t, o.Object)) {
			t.Errorf("listed\n%s\nread\n%s", encode(t, o.Object), encode(t, read))
		}
	}
}

func testAllNamespaces(t *testing.T, a api) {
	a.create(t, a.object("here"))

	o := a.object("there")
	o.SetNamespace(metav1.NamespaceDefault)

	_, err := a.in(a.Admin, metav1.NamespaceDefault).Create(t.Context(), o, metav1.CreateOptions{})
	must(t, err)

	everywhere := a.in(a.Admin, metav1.NamespaceAll)
	list, err := everywhere.List(t.Context(), a.mine())
	must(t, err)

	if here := a.names(a.list(t, metav1.ListOptions{})); here != "here" || a.names(list) != "here there" && a.names(list) != "there here" {
		t.Errorf("listed %s in the namespace, %s in all", here, a.names(list))
	}

	list, err = everywhere.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.namespace=" + a.namespace})
	must(t, err)

	if a.names(list) != "here" {
		t.Errorf("metadata.namespace selects %s", a.names(list))
	}
}

func testLabelSelectors(t *testing.T, a api) {
	for name, color := range map[string]string{"a": "red", "b": "green", "c": ""} {
		o := a.object(name)
		if color != "" {
			o.SetLabels(map[string]string{caseLabel: a.id, "color": color})
		}

		a.create(t, o)
	}

	for selector, want := range map[string]string{
		"color":               "a b",
		"!color":              "c",
		"color=red":           "a",
		"color==red":          "a",
		"color!=red":          "b c",
		"color in (red,blue)": "a",
		"color notin (red)":   "b c",
		"color,color!=green":  "a",
		"color=red,color=b":   "",
	} {
		if got := a.names(a.list(t, metav1.ListOptions{LabelSelector: a.mine().LabelSelector + "," + selector})); got != want {
			t.Errorf("%s selects %q, want %q", selector, got, want)
		}
	}

	_, err := a.objects.List(t.Context(), metav1.ListOptions{LabelSelector: "color in red"})
	refused(t, "a broken selector", err, metav1.StatusReasonBadRequest, "unable to parse requirement")
}

func testFieldSelectors(t *testing.T, a api) {
	a.create(t, a.object("a"))
	a.create(t, a.object("b"))

	for selector, want := range map[string]string{
		"metadata.name=" + a.id + "-a":                                        "a",
		"metadata.name!=" + a.id + "-a":                                       "b",
		"metadata.name=" + a.id + "-a,metadata.name=" + a.id + "-b":           "",
		"metadata.name!=" + a.id + "-none,metadata.name!=" + a.id + "-a":      "b",
		"metadata.name=" + a.id + "-c":                                        "",
		"metadata.name==" + a.id + "-b,metadata.name!=" + a.id + "-something": "b",
	} {
		if got := a.names(a.list(t, metav1.ListOptions{FieldSelector: selector})); got != want {
			t.Errorf("%s selects %q, want %q", selector, got, want)
		}
	}

	for _, unknown := range []string{"metadata.uid=x", a.text.path + "=x", "nonsense=x", "status=x"} {
		_, err := a.objects.List(t.Context(), metav1.ListOptions{FieldSelector: unknown})
		refused(t, unknown, err, metav1.StatusReasonBadRequest, strings.TrimSuffix(unknown, "=x"))
	}
}

func testSelectableField(t *testing.T, a api) {
	a.create(t, a.object("a"))

	o := a.object("b")
	set(o, a.selectable.path, a.selectable.value)
	a.create(t, o)

	equal := fmt.Sprintf("%s=%v", a.selectable.path, a.selectable.value)
	if got := a.names(a.list(t, metav1.ListOptions{FieldSelector: equal})); got != "b" {
		t.Errorf("%s selects %q", equal, got)
	}

	other := fmt.Sprintf("%s!=%v", a.selectable.path, a.selectable.value)
	if got := a.names(a.list(t, metav1.ListOptions{FieldSelector: other})); got != "a" {
		t.Errorf("%s selects %q", other, got)
	}
}

// few creates objects whose names are one letter each.
func (a api) few(t *testing.T, names string) {
	t.Helper()

	for name := range strings.FieldsSeq(names) {
		a.create(t, a.object(name))
	}
}

func testPages(t *testing.T, a api) {
	a.few(t, "a b c d e")

	options, seen, versions := metav1.ListOptions{Limit: 2}, "", map[string]bool{}

	for pages := 1; ; pages++ {
		page := a.list(t, options)
		seen += a.names(page) + "|"
		versions[page.GetResourceVersion()] = true

		if page.GetRemainingItemCount() != nil {
			t.Error("with a selector nobody can know how many remain")
		}

		options.Continue = page.GetContinue()
		if options.Continue == "" || pages == 5 {
			break
		}
	}

	if seen != "a b|c d|e|" || len(versions) != 1 {
		t.Errorf("the pages are %s, of versions %v", seen, versions)
	}

	if whole := a.list(t, metav1.ListOptions{Limit: 5}); a.names(whole) != "a b c d e" || a.namespaced && whole.GetContinue() != "" {
		t.Errorf("a page as long as the list: %s %s", a.names(whole), whole.GetContinue())
	}

	first, err := a.objects.List(t.Context(), metav1.ListOptions{Limit: 1})
	must(t, err)

	// Others' objects are among those of a kind without namespaces.
	if n := first.GetRemainingItemCount(); n == nil || *n < 4 || a.namespaced && *n != 4 {
		t.Errorf("of five objects %v remain", n)
	}
}

func testPagesAfterChanges(t *testing.T, a api) {
	a.few(t, "a b d e")

	first := a.list(t, metav1.ListOptions{Limit: 2})

	must(t, a.objects.Delete(t.Context(), a.id+"-d", metav1.DeleteOptions{}))
	a.create(t, a.object("c"))
	a.merge(t, a.object("e"), a.text.path, a.text.one)

	rest := a.list(t, metav1.ListOptions{Continue: first.GetContinue()})
	if a.names(rest) != "d e" || rest.GetResourceVersion() != first.GetResourceVersion() || at(&rest.Items[1], a.text.path) != "" {
		t.Errorf("the next page shows changes since the first: %s", a.names(rest))
	}

	if now := a.names(a.list(t, metav1.ListOptions{})); now != "a b c e" {
		t.Errorf("a new list: %s", now)
	}
}

// testPagesAfterCompaction goes on with a list of a state that was forgotten before the cases began.
func testPagesAfterCompaction(t *testing.T, a api) {
	a.few(t, "a b c")

	first := a.list(t, metav1.ListOptions{Limit: 1})
	old := metav1.ListOptions{LabelSelector: a.mine().LabelSelector, Limit: 2, Continue: withVersion(t, first.GetContinue(), 1)}

	var again string

	eventually(t, "refuse the next page of an old list", func(ctx context.Context) (bool, error) {
		_, err := a.objects.List(ctx, old)
		if status, ok := err.(apierrors.APIStatus); ok && apierrors.IsResourceExpired(err) { //nolint:errorlint // not wrapped
			again = status.Status().Continue
		}

		return again != "", nil
	})

	a.create(t, a.object("bb"))

	if rest := a.names(a.list(t, metav1.ListOptions{Continue: again})); rest != "b bb c" {
		t.Errorf("going on: %s", rest)
	}

	_, err := a.objects.List(t.Context(), metav1.ListOptions{ResourceVersion: "1", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	refused(t, "an old state", err, metav1.StatusReasonExpired)
}

// compactions is the key by which API servers tell each other what they compacted, in a form of their own.
const compactions = "compact_rev_key"

// compact makes the database forget what has been, and the API server's caches soon after.
func (p *plane) compact(t *testing.T) {
	t.Helper()

	etcd := p.etcd(t)

	now, err := etcd.Get(t.Context(), compactions)
	must(t, err)

	_, err = etcd.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)

	_, err = etcd.Put(t.Context(), compactions, fmt.Sprint(now.Header.Revision))
	must(t, err)
}

// etcd is a client of the database.
func (p *plane) etcd(t *testing.T) *clientv3.Client {
	t.Helper()

	etcd, err := clientv3.New(clientv3.Config{Context: t.Context(), Endpoints: p.Etcd.Endpoint().Servers, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { etcd.Close() })

	return etcd
}

// withVersion is a continue token for the same place in the list at another resourceVersion.
func withVersion(t *testing.T, token string, version int) string {
	t.Helper()

	text, err := base64.RawURLEncoding.DecodeString(token)
	must(t, err)

	content := map[string]any{}
	must(t, json.Unmarshal(text, &content))

	content["rv"] = version

	return base64.RawURLEncoding.EncodeToString(encode(t, content))
}

func testListVersions(t *testing.T, a api) {
	a.few(t, "a")

	then := a.list(t, metav1.ListOptions{}).GetResourceVersion()
	later := a.create(t, a.object("b")).GetResourceVersion()

	for _, c := range []struct {
		version string
		match   metav1.ResourceVersionMatch
		limit   int64
		want    string
	}{
		{then, metav1.ResourceVersionMatchExact, 0, "a"},
		{then, metav1.ResourceVersionMatchExact, 1, "a"},
		{then, "", 5, "a"}, // with a limit that means exactly
		{later, metav1.ResourceVersionMatchExact, 0, "a b"},
		{later, metav1.ResourceVersionMatchNotOlderThan, 0, "a b"},
		{later, metav1.ResourceVersionMatchNotOlderThan, 5, "a b"},
		{later, "", 0, "a b"},
		{"", "", 0, "a b"},
	} {
		list := a.list(t, metav1.ListOptions{ResourceVersion: c.version, ResourceVersionMatch: c.match, Limit: c.limit})
		if got := a.names(list); got != c.want {
			t.Errorf("at %s %s: %s, want %s", c.version, c.match, got, c.want)
		}

		if exactly := c.match == metav1.ResourceVersionMatchExact; exactly && list.GetResourceVersion() != c.version {
			t.Errorf("exactly %s is %s", c.version, list.GetResourceVersion())
		}
	}

	if names := a.names(a.list(t, metav1.ListOptions{ResourceVersion: "0"})); names != "a b" && names != "a" && names != "" {
		t.Errorf("at any time: %s", names)
	}

	read, err := a.objects.Get(t.Context(), a.id+"-b", metav1.GetOptions{ResourceVersion: later})
	must(t, err)

	if read.GetResourceVersion() != later {
		t.Errorf("read at %s: %s", later, read.GetResourceVersion())
	}
}

// testFutureVersion asks for what has not happened yet. Clients would try again and again.
func testFutureVersion(t *testing.T, a api) {
	const future = "1000000000"

	list := a.rest().Get().AbsPath(a.path()).Param("resourceVersion", future).Param("resourceVersionMatch", "NotOlderThan")
	get := a.rest().Get().AbsPath(a.path(a.id+"-none")).Param("resourceVersion", future)

	for what, request := range map[string]*rest.Request{"list": list, "get": get} {
		err := request.MaxRetries(0).Do(t.Context()).Error()
		if !apierrors.IsTimeout(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func testBadListOptions(t *testing.T, a api) {
	a.few(t, "a b")

	next := a.list(t, metav1.ListOptions{Limit: 1}).GetContinue()

	for name, c := range map[string]struct {
		options metav1.ListOptions
		reason  metav1.StatusReason
		says    string
	}{
		"a broken continue token":         {metav1.ListOptions{Continue: "nonsense"}, metav1.StatusReasonBadRequest, "continue key is not valid"},
		"continue and a resourceVersion":  {metav1.ListOptions{Continue: next, ResourceVersion: "5"}, metav1.StatusReasonBadRequest, "specifying resource version is not allowed when using continue"},
		"a match without resourceVersion": {metav1.ListOptions{ResourceVersionMatch: metav1.ResourceVersionMatchExact}, metav1.StatusReasonInvalid, "resourceVersionMatch"},
		"an unknown match":                {metav1.ListOptions{ResourceVersion: "5", ResourceVersionMatch: "Roughly"}, metav1.StatusReasonInvalid, "resourceVersionMatch"},
		"exactly at any time":             {metav1.ListOptions{ResourceVersion: "0", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, metav1.StatusReasonInvalid, "resourceVersionMatch"},
		"initial events of a list":        {metav1.ListOptions{SendInitialEvents: new(true)}, metav1.StatusReasonInvalid, "sendInitialEvents"},
	} {
		_, err := a.objects.List(t.Context(), c.options)
		refused(t, name, err, c.reason, c.says)
	}

	if _, err := a.objects.List(t.Context(), metav1.ListOptions{ResourceVersion: "nonsense"}); !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) {
		t.Errorf("a broken resourceVersion: %v", err)
	}
}
