package apiserver_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// widgets defines the kind Widget of a group and version, and gadget is one.
func widgets(group, version string) (definition, gadget string) {
	definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.` + group + `}
spec:
  group: ` + group + `
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - name: ` + version + `
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, minimum: 1, description: How large the widget is.}
`
	gadget = `
apiVersion: ` + group + `/` + version + `
kind: Widget
metadata: {name: gadget, namespace: default}
spec: {size: 3}
`

	return definition, gadget
}

func testCustomResource(t *testing.T, a api) {
	a.useWidgets(t, "example.com", "v1")
}

// testCustomResourceInNativeGroup serves a custom resource in a further version of a native group, and the native kinds
// beside it as before.
func testCustomResourceInNativeGroup(t *testing.T, a api) {
	s := server("beside-widgets")
	a.create(t, s)
	a.useWidgets(t, "metal.sidero.dev", "v9")

	for args, want := range map[string]string{
		"get servers beside-widgets -o name":                  "server.metal.sidero.dev/beside-widgets",
		"explain server.spec.bmc.port":                        "623 when absent",
		"explain widget.spec.size":                            "How large the widget is",
		"api-resources --api-group=metal.sidero.dev":          "serverclasses",
		"get server beside-widgets -o jsonpath={.apiVersion}": "metal.sidero.dev/v1alpha2",
	} {
		if got := a.kubectl.Do(t, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("kubectl %s: %s, want it to hold %q", args, got, want)
		}
	}

	for kind, version := range map[string]string{"Server": "v1alpha2", "Widget": "v9"} {
		a.watchSees(t, schema.GroupVersionKind{Group: "metal.sidero.dev", Version: version, Kind: kind})
	}

	a.deleteDefinition(t, "widgets.metal.sidero.dev")
	a.reload(t, s) // natives are not swept away with the group's custom resources
}

// watchSees creates an object of a kind and waits for a watch to tell.
func (a api) watchSees(t *testing.T, kind schema.GroupVersionKind) {
	t.Helper()

	list, object := &unstructured.UnstructuredList{}, &unstructured.Unstructured{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	object.SetGroupVersionKind(kind)
	object.SetName("watched-beside")
	object.SetNamespace(metav1.NamespaceDefault)
	must(t, a.client.List(t.Context(), list))

	watcher, err := a.client.Watch(t.Context(), list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}})
	must(t, err)

	defer watcher.Stop()

	a.create(t, object)

	event := <-watcher.ResultChan()
	if seen, ok := event.Object.(*unstructured.Unstructured); !ok || event.Type != watch.Added || seen.GetName() != object.GetName() || seen.GroupVersionKind() != kind {
		t.Errorf("the watch of %s tells %s %v", kind, event.Type, event.Object)
	}
}

// useWidgets installs the kind and goes through the life of one object. The definition stays.
func (a api) useWidgets(t *testing.T, group, version string) {
	t.Helper()

	definition, gadget := widgets(group, version)
	resource := "widgets." + version + "." + group

	a.kubectl.With(definition).Do(t, "apply", "-f", "-")
	a.kubectl.Do(t, "wait", "crd", "widgets."+group, "--for=condition=Established", "--timeout=30s")

	kubectl := a.kubectl.With(gadget)
	eventually(t, "apply a custom resource", func(context.Context) (bool, error) {
		_, err := kubectl.Try(t, "apply", "-f", "-")

		return err == nil, nil
	})

	if out := kubectl.Do(t, "apply", "--server-side", "--force-conflicts", "-f", "-"); !strings.Contains(out, "serverside-applied") {
		t.Errorf("server-side apply: %s", out)
	}

	bad := a.kubectl.With(strings.Replace(gadget, "size: 3", "size: 0", 1))
	if out, err := bad.Try(t, "apply", "-f", "-"); err == nil || !strings.Contains(out, "spec.size") {
		t.Errorf("a wrong custom resource: %v %s", err, out)
	}

	eventually(t, "explain a custom resource", func(context.Context) (bool, error) {
		out, err := a.kubectl.Try(t, "explain", "widgets.spec.size", "--api-version="+group+"/"+version)

		return err == nil && strings.Contains(out, "How large the widget is"), nil
	})

	if out := a.kubectl.Do(t, "get", resource, "-A"); !strings.Contains(out, "gadget") {
		t.Errorf("get: %s", out)
	}

	a.kubectl.Do(t, "delete", resource, "gadget")
}
