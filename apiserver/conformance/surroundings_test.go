package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// surroundings are cases of what clients ask besides objects.
func surroundings() []row {
	return []row{
		{name: "discovery/of the kind", test: testDiscovery},
		{name: "discovery/aggregated", test: testAggregatedDiscovery},
		{name: "schemas/version 3", test: testSchema},
		{name: "schemas/version 2", test: testOldSchema},
		{name: "events/about an object", test: testEvents},
		{name: "events/end", test: testEventsEnd},
	}
}

func testDiscovery(t *testing.T, a api) {
	list, err := a.kube.Discovery().ServerResourcesForGroupVersion(a.GroupVersion().String())
	must(t, err)

	found := map[string]metav1.APIResource{}
	for _, r := range list.APIResources {
		found[r.Name] = r
	}

	main := found[a.resource]
	slices.Sort(main.Verbs)

	if main.Kind != a.Kind || main.Namespaced != a.namespaced || main.SingularName != strings.ToLower(a.Kind) || main.StorageVersionHash == "" {
		t.Errorf("discovered %v", main)
	}

	if got := strings.Join(main.Verbs, " "); got != "create delete deletecollection get list patch update watch" {
		t.Errorf("discovered verbs %s", got)
	}

	status, scale := found[a.resource+"/status"], found[a.resource+"/scale"]
	slices.Sort(status.Verbs)

	if status.Kind != a.Kind || strings.Join(status.Verbs, " ") != "get patch update" {
		t.Errorf("discovered the status %v", status)
	}

	if a.scale != (scale.Kind == "Scale") || a.scale && (scale.Group != "autoscaling" || scale.Version != "v1") {
		t.Errorf("discovered the scale %v", scale)
	}

	groups, err := a.kube.Discovery().ServerGroups()
	must(t, err)

	i := slices.IndexFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == a.Group })
	if i < 0 || !slices.ContainsFunc(groups.Groups[i].Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == a.Version }) {
		t.Errorf("discovered groups %v", groups.Groups)
	}
}

// testAggregatedDiscovery reads what kubectl reads: everything in one document.
func testAggregatedDiscovery(t *testing.T, a api) {
	text, err := a.rest().Get().AbsPath("/apis").
		SetHeader("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").DoRaw(t.Context())
	must(t, err)

	list := &unstructured.UnstructuredList{}
	must(t, list.UnmarshalJSON(text))

	for _, group := range list.Items {
		if group.GetName() != a.Group {
			continue
		}

		versions, _, _ := unstructured.NestedSlice(group.Object, "versions")
		for _, version := range versions {
			told := string(encode(t, version))
			if strings.Contains(told, `"version":"`+a.Version+`"`) && strings.Contains(told, `"resource":"`+a.resource+`"`) && strings.Contains(told, `"freshness":"Current"`) {
				return
			}
		}
	}

	t.Errorf("%s is not in it: %s", a.resource, text)
}

// schema finds the kind's in a document of OpenAPI, by the extension that clients go by.
func (a api) schema(schemas map[string]any) map[string]any {
	for _, s := range schemas {
		schema, _ := s.(map[string]any)
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)

		for _, k := range kinds {
			kind, _ := k.(map[string]any)
			if kind["group"] == a.Group && kind["version"] == a.Version && kind["kind"] == a.Kind {
				return schema
			}
		}
	}

	return nil
}

// document reads a document of OpenAPI. That of a new kind may take a moment.
func (a api) document(t *testing.T, path, definitions string) map[string]any {
	t.Helper()

	var schema map[string]any

	eventually(t, "find the schema in "+path, func(ctx context.Context) (bool, error) {
		text, err := a.rest().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
		if err != nil {
			return false, ignoreNotFound(err)
		}

		document := map[string]any{}
		if err := json.Unmarshal(text, &document); err != nil {
			return false, err
		}

		schemas, _, _ := unstructured.NestedMap(document, strings.Split(definitions, ".")...)
		schema = a.schema(schemas)

		return schema != nil, nil
	})

	return schema
}

func testSchema(t *testing.T, a api) {
	a.described(t, a.document(t, "/openapi/v3/apis/"+a.GroupVersion().String(), "components.schemas"))
}

func testOldSchema(t *testing.T, a api) {
	a.described(t, a.document(t, "/openapi/v2", "definitions"))
}

// described checks that a schema tells of the parts of an object, and what they are for where there is something to say.
func (a api) described(t *testing.T, schema map[string]any) {
	t.Helper()

	for _, part := range []string{"apiVersion", "kind", "metadata", "spec", "status"} {
		if _, found, _ := unstructured.NestedMap(schema, "properties", part); !found {
			t.Errorf("%s is missing in %s", part, encode(t, schema))
		}
	}
}

func testEvents(t *testing.T, a api) {
	o := a.create(t, a.object("one"))
	event := a.event(t, o)

	events, err := a.kube.CoreV1().Events(event.Namespace).List(t.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + string(o.GetUID()) + ",involvedObject.kind=" + a.Kind,
	})
	must(t, err)

	if len(events.Items) != 1 || events.Items[0].Reason != "Tested" || events.Items[0].InvolvedObject.Name != o.GetName() {
		t.Errorf("found %v", events.Items)
	}

	modern, err := a.kube.EventsV1().Events(event.Namespace).Get(t.Context(), event.Name, metav1.GetOptions{})
	must(t, err)

	if modern.Note != "it was tested" || modern.Regarding.UID != o.GetUID() {
		t.Errorf("in the newer group it is %v", modern)
	}
}

// event tells of an object. Events about objects without a namespace are in the namespace default.
func (a api) event(t *testing.T, o *unstructured.Unstructured) *corev1.Event {
	t.Helper()

	namespace := metav1.NamespaceDefault
	if a.namespaced {
		namespace = a.namespace
	}

	event, err := a.kube.CoreV1().Events(namespace).Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: o.GetName()},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(),
		},
		Reason: "Tested", Message: "it was tested", Type: corev1.EventTypeNormal, FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(),
	}, metav1.CreateOptions{})
	must(t, err)

	return event
}

// testEventsEnd asks the database how long it keeps what was written: Events an hour, objects for ever.
func testEventsEnd(t *testing.T, a api) {
	etcd := a.etcd(t)
	o := a.create(t, a.object("one"))
	event := a.event(t, o)

	_, err := a.kube.EventsV1().Events(event.Namespace).Create(t.Context(), &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: a.id + "-modern"}, EventTime: metav1.NowMicro(),
		Regarding: event.InvolvedObject, Reason: "Tested", Action: "Test", Note: "again", Type: corev1.EventTypeNormal,
		ReportingController: "example.com/conformance", ReportingInstance: "one",
	}, metav1.CreateOptions{})
	must(t, err)

	for _, name := range []string{event.Name, a.id + "-modern"} {
		ttl := keptFor(t, etcd, fmt.Sprintf("/registry/events/%s/%s", event.Namespace, name))
		if ttl < 50*time.Minute || ttl > 70*time.Minute {
			t.Errorf("event %s is kept for %s", name, ttl)
		}
	}

	if ttl := keptFor(t, etcd, a.key(t, etcd, o)); ttl != 0 {
		t.Errorf("the object is kept for %s", ttl)
	}
}

// key is where the database has an object.
func (a api) key(t *testing.T, etcd *clientv3.Client, o *unstructured.Unstructured) string {
	t.Helper()

	all, err := etcd.Get(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	must(t, err)

	for _, kv := range all.Kvs {
		if key := string(kv.Key); strings.Contains(key, "/"+a.resource+"/") && strings.HasSuffix(key, "/"+o.GetName()) {
			return key
		}
	}

	t.Fatalf("%s is not in the database", o.GetName())

	return ""
}

// keptFor is how long the database keeps a key, 0 for ever.
func keptFor(t *testing.T, etcd *clientv3.Client, key string) time.Duration {
	t.Helper()

	got, err := etcd.Get(t.Context(), key)
	must(t, err)

	if len(got.Kvs) != 1 {
		t.Fatalf("the database has no %s", key)
	}

	if got.Kvs[0].Lease == 0 {
		return 0
	}

	lease, err := etcd.TimeToLive(t.Context(), clientv3.LeaseID(got.Kvs[0].Lease))
	must(t, err)

	return time.Duration(lease.GrantedTTL) * time.Second
}
