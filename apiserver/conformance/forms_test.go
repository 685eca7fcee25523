package conformance_test

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
)

// forms are cases of how objects are shown to those who do not want all of them.
func forms() []row {
	return []row{
		{name: "forms/tables", test: testTable},
		{name: "forms/table of one object", test: testTableOfOne},
		{name: "forms/tables in pages", test: testTablePages},
		{name: "forms/watched tables", test: testTableWatch},
		{name: "forms/metadata only", test: testPartial},
		{name: "forms/metadata only, watched", test: testPartialWatch},
		{name: "forms/unknown", test: testUnknownForm},
	}
}

const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

// table asks for a path as kubectl get does.
func (a api) table(t *testing.T, path string, parameters ...string) metav1.Table {
	t.Helper()

	request := a.rest().Get().AbsPath(path).SetHeader("Accept", asTable+",application/json")
	for i := 0; i < len(parameters); i += 2 {
		request = request.Param(parameters[i], parameters[i+1])
	}

	text, err := request.DoRaw(t.Context())
	must(t, err)

	var table metav1.Table
	must(t, json.Unmarshal(text, &table))

	return table
}

// rowObject is what a row holds of its object.
func rowObject(t *testing.T, row metav1.TableRow) *unstructured.Unstructured {
	t.Helper()

	o := &unstructured.Unstructured{}
	if row.Object.Raw != nil {
		must(t, o.UnmarshalJSON(row.Object.Raw))
	}

	return o
}

func testTable(t *testing.T, a api) {
	a.create(t, a.with("b", a.text.one))
	a.create(t, a.with("a", a.text.one))

	table := a.table(t, a.path(), "labelSelector", a.mine().LabelSelector)
	first, last := table.ColumnDefinitions[0], table.ColumnDefinitions[len(table.ColumnDefinitions)-1]

	if table.Kind != "Table" || table.APIVersion != "meta.k8s.io/v1" || table.ResourceVersion == "" || len(table.Rows) != 2 {
		t.Fatalf("got %v", table)
	}

	if first.Name != "Name" || first.Type != "string" || first.Format != "name" || first.Description == "" || last.Name != "Age" || last.Type != "date" || last.Description == "" {
		t.Errorf("the columns are %v", table.ColumnDefinitions)
	}

	for i, name := range []string{"a", "b"} {
		row := table.Rows[i]
		if len(row.Cells) != len(table.ColumnDefinitions) || row.Cells[0] != a.id+"-"+name || !strings.HasSuffix(row.Cells[len(row.Cells)-1].(string), "s") {
			t.Errorf("row %d is %v", i, row.Cells)
		}

		o := rowObject(t, row)
		if o.GetKind() != "PartialObjectMetadata" || o.GetAPIVersion() != "meta.k8s.io/v1" || o.GetName() != a.id+"-"+name || o.GetUID() == "" || o.Object["spec"] != nil {
			t.Errorf("row %d holds %s", i, row.Object.Raw)
		}
	}

	for included, kind := range map[string]string{"None": "", "Metadata": "PartialObjectMetadata", "Object": a.Kind} {
		row := a.table(t, a.path(), "labelSelector", a.mine().LabelSelector, "includeObject", included).Rows[0]

		o := rowObject(t, row)
		if o.GetKind() != kind || (at(o, a.text.path) == a.text.one) != (included == "Object") || kind != "" && o.GetAPIVersion() == "" {
			t.Errorf("a row with %s holds %s", included, row.Object.Raw)
		}
	}
}

func testTableOfOne(t *testing.T, a api) {
	o := a.create(t, a.object("one"))
	table := a.table(t, a.path(o.GetName()))

	if len(table.Rows) != 1 || table.Rows[0].Cells[0] != o.GetName() || table.ResourceVersion != o.GetResourceVersion() || len(table.ColumnDefinitions) < 2 {
		t.Errorf("got %v", table)
	}

	status := a.table(t, a.path(o.GetName(), "status"))
	if len(status.Rows) != 1 || status.Rows[0].Cells[0] != o.GetName() {
		t.Errorf("of the status: %v", status)
	}

	empty := a.table(t, a.path(), "labelSelector", "nobody="+a.id)
	if len(empty.Rows) != 0 || len(empty.ColumnDefinitions) != len(table.ColumnDefinitions) {
		t.Errorf("of nothing: %v", empty)
	}
}

func testTablePages(t *testing.T, a api) {
	a.few(t, "a b c")

	first := a.table(t, a.path(), "labelSelector", a.mine().LabelSelector, "limit", "2")
	if len(first.Rows) != 2 || first.Continue == "" {
		t.Fatalf("the first page is %v", first)
	}

	second := a.table(t, a.path(), "labelSelector", a.mine().LabelSelector, "continue", first.Continue)
	if len(second.Rows) != 1 || second.Rows[0].Cells[0] != a.id+"-c" || second.ResourceVersion != first.ResourceVersion {
		t.Errorf("the second page is %v", second)
	}

	if counted := a.table(t, a.path(), "limit", "1"); counted.RemainingItemCount == nil || *counted.RemainingItemCount < 2 {
		t.Errorf("of three objects remain %v", counted.RemainingItemCount)
	}
}

// testTableWatch has two events. The columns are told with the first only.
func testTableWatch(t *testing.T, a api) {
	from := a.list(t, metav1.ListOptions{}).GetResourceVersion()
	o := a.create(t, a.object("one"))
	a.merge(t, o, a.text.path, a.text.one)

	text, err := a.rest().Get().AbsPath(a.path()).SetHeader("Accept", asTable).Param("watch", "true").
		Param("labelSelector", a.mine().LabelSelector).Param("resourceVersion", from).Param("timeoutSeconds", "1").DoRaw(t.Context())
	must(t, err)

	told := lines(string(text))
	if len(told) != 2 {
		t.Fatalf("told %q", told)
	}

	for i, kind := range []watch.EventType{watch.Added, watch.Modified} {
		var event struct {
			Type   watch.EventType
			Object metav1.Table
		}

		must(t, json.Unmarshal([]byte(told[i]), &event))

		if event.Type != kind || len(event.Object.Rows) != 1 || event.Object.Rows[0].Cells[0] != o.GetName() || (len(event.Object.ColumnDefinitions) != 0) != (i == 0) {
			t.Errorf("told %s", told[i])
		}
	}
}

// partial is a client that sees metadata only, as kubectl's and the garbage collector's do.
func (a api) partial() metadata.ResourceInterface {
	resource := metadata.NewForConfigOrDie(a.Admin).Resource(a.GroupVersion().WithResource(a.resource))
	if a.namespaced {
		return resource.Namespace(a.namespace)
	}

	return resource
}

func testPartial(t *testing.T, a api) {
	o := a.create(t, a.with("one", a.text.one))
	a.create(t, a.object("two"))

	read, err := a.partial().Get(t.Context(), o.GetName(), metav1.GetOptions{})
	must(t, err)

	if read.UID != o.GetUID() || read.Labels[caseLabel] != a.id || len(read.ManagedFields) == 0 {
		t.Errorf("read %v", read)
	}

	list, err := a.partial().List(t.Context(), metav1.ListOptions{LabelSelector: a.mine().LabelSelector, Limit: 1})
	must(t, err)

	if len(list.Items) != 1 || list.Items[0].UID != o.GetUID() || list.Continue == "" || list.ResourceVersion == "" {
		t.Errorf("listed %v", list)
	}

	raw, err := a.rest().Get().AbsPath(a.path()).SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").
		Param("labelSelector", a.mine().LabelSelector).DoRaw(t.Context())
	must(t, err)

	if text := string(raw); !strings.Contains(text, `"kind":"PartialObjectMetadataList"`) || strings.Contains(text, `"spec"`) {
		t.Errorf("listed %s", text)
	}

	patched, err := a.partial().Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}}}`), metav1.PatchOptions{})
	must(t, err)

	if patched.Annotations["a"] != "b" || at(a.reload(t, o), a.text.path) != a.text.one {
		t.Errorf("patched %v", patched)
	}

	must(t, a.partial().DeleteCollection(t.Context(), metav1.DeleteOptions{}, a.mine()))

	if left := a.names(a.list(t, metav1.ListOptions{})); left != "" {
		t.Errorf("left are %s", left)
	}
}

func testPartialWatch(t *testing.T, a api) {
	w, err := a.partial().Watch(t.Context(), metav1.ListOptions{
		ResourceVersion: a.list(t, metav1.ListOptions{}).GetResourceVersion(), LabelSelector: a.mine().LabelSelector,
		TimeoutSeconds: new(int64(shortWatch.Seconds())), AllowWatchBookmarks: true,
	})
	must(t, err)
	t.Cleanup(w.Stop)

	o := a.create(t, a.object("one"))
	a.merge(t, o, a.text.path, a.text.one)
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))

	for _, kind := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted, watch.Bookmark} {
		event := <-w.ResultChan()
		for kind != watch.Bookmark && event.Type == watch.Bookmark {
			event = <-w.ResultChan()
		}

		seen, ok := event.Object.(*metav1.PartialObjectMetadata)
		if !ok || event.Type != kind || (kind != watch.Bookmark) != (seen.UID == o.GetUID()) || seen.ResourceVersion == "" {
			t.Fatalf("told %s %v, want %s", event.Type, event.Object, kind)
		}
	}
}

func testUnknownForm(t *testing.T, a api) {
	for _, form := range []string{"application/json;as=Poem;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v9;g=meta.k8s.io", "application/json;as=Table;v=v1;g=other.example.com"} {
		err := a.rest().Get().AbsPath(a.path()).SetHeader("Accept", form).Do(t.Context()).Error()
		refused(t, form, err, metav1.StatusReasonNotAcceptable)
	}
}
