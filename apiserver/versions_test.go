package apiserver_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha1"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// object is one in a version and with a spec that the test's text tells.
func object(t *testing.T, kind schema.GroupVersionKind, name, spec string) *unstructured.Unstructured {
	t.Helper()

	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	o.SetGroupVersionKind(kind)
	o.SetName(name)

	content := map[string]any{}
	must(t, json.Unmarshal([]byte(spec), &content))
	o.Object["spec"] = content

	return o
}

func oldServer(t *testing.T, name, spec string) *unstructured.Unstructured {
	t.Helper()

	return object(t, v1alpha1.GroupVersion.WithKind("Server"), name, spec)
}

// text is a field's JSON, empty if there is none.
func text(t *testing.T, o *unstructured.Unstructured, path string) string {
	t.Helper()

	value, found, err := unstructured.NestedFieldNoCopy(o.Object, strings.Split(path, ".")...)
	must(t, err)

	if !found {
		return ""
	}

	encoded, err := json.Marshal(value)
	must(t, err)

	return string(encoded)
}

func testVersionsShow(t *testing.T, a api) {
	old := oldServer(t, "shown-old", `{"accepted":true,"cpu":{"manufacturer":"ACME","version":"X1"},"system":{"family":"boxes"}}`)
	a.create(t, old)

	s := server(old.GetName())
	a.reload(t, s)

	if p := s.Spec.Hardware.Compute.Processors; len(p) != 1 || p[0].ProductName != "X1" || p[0].Manufacturer != "ACME" ||
		s.Spec.Hardware.System.Family != "boxes" || len(s.Annotations) != 0 {
		t.Errorf("in v1alpha2 %+v %v", s.Spec.Hardware, s.Annotations)
	}

	for _, c := range []struct{ command, want string }{
		{"get servers.v1alpha1.metal.sidero.dev shown-old -o jsonpath={.apiVersion},{.spec.cpu.version},{.spec.system.family}", "metal.sidero.dev/v1alpha1,X1,boxes"},
		{"get servers.v1alpha2.metal.sidero.dev shown-old -o jsonpath={.apiVersion},{.spec.hardware.compute.processors[0].productName}", "metal.sidero.dev/v1alpha2,X1"},
		{"get servers shown-old -o jsonpath={.apiVersion}", "metal.sidero.dev/v1alpha2"},
		{"get servers.v1alpha1.metal.sidero.dev --field-selector spec.accepted=true,metadata.name=shown-old -o name", "server.metal.sidero.dev/shown-old"},
	} {
		if got := strings.TrimSpace(a.kubectl.Do(t, strings.Fields(c.command)...)); got != c.want {
			t.Errorf("kubectl %s: %s, want %s", c.command, got, c.want)
		}
	}

	for _, d := range descriptors() { // an empty list is one too
		a.kubectl.Do(t, "get", d.Name, "-A")
	}

	for command, want := range map[string]string{
		"explain servers.spec.cpu --api-version=metal.sidero.dev/v1alpha1":                               "first processor",
		"explain servers.spec.hardware.memory --api-version=metal.sidero.dev/v1alpha2":                   "memory",
		"explain metalclusters.spec.apiEndpoints --api-version=infrastructure.cluster.x-k8s.io/v1alpha2": "endpoints",
	} {
		if out := a.kubectl.Do(t, strings.Fields(command)...); !strings.Contains(strings.ToLower(out), want) {
			t.Errorf("kubectl %s: %s", command, out)
		}
	}
}

// testVersionsLoseNothing writes through v1alpha1 an object that says more than v1alpha1 can, in every way.
func testVersionsLoseNothing(t *testing.T, a api) {
	s := server("rich")
	s.Spec = v1alpha2.ServerSpec{
		StrategicPatches: []string{"machine: {}"},
		Hardware: &v1alpha2.HardwareInformation{
			System:  &v1alpha2.SystemInformation{UUID: "u", Manufacturer: "ACME"},
			Memory:  &v1alpha2.MemoryInformation{TotalSize: "32 GB"},
			Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 8, Processors: []*v1alpha2.Processor{{Manufacturer: "A", Speed: 7}, {Manufacturer: "B"}}},
		},
	}
	a.create(t, s)

	old := oldServer(t, s.Name, `{}`)
	a.reload(t, old)

	if got := text(t, old, "spec.cpu"); got != `{"manufacturer":"A"}` || old.GetAnnotations()["cluster.x-k8s.io/conversion-data"] == "" {
		t.Errorf("v1alpha1 shows the processor %s and annotations %v", got, old.GetAnnotations())
	}

	writes := map[string]func(name string) error{
		"update":                        func(name string) error { return a.client.Update(t.Context(), edited(t, a, name, true)) },
		"update without the annotation": func(name string) error { return a.client.Update(t.Context(), edited(t, a, name, false)) },
		"merge patch": func(name string) error {
			return a.client.Patch(t.Context(), oldServer(t, name, `{}`), client.RawPatch(types.MergePatchType,
				[]byte(`{"metadata":{"annotations":null},"spec":{"cpu":{"manufacturer":"C"}}}`)))
		},
		"JSON patch": func(name string) error {
			return a.client.Patch(t.Context(), oldServer(t, name, `{}`), client.RawPatch(types.JSONPatchType,
				[]byte(`[{"op":"replace","path":"/spec/cpu/manufacturer","value":"C"}]`)))
		},
		"apply": func(name string) error {
			return a.apply(t.Context(), oldServer(t, name, `{"accepted":false,"cpu":{"manufacturer":"C"}}`), "somebody", client.ForceOwnership)
		},
	}

	for how, write := range writes {
		copied := server("rich-" + strings.ToLower(strings.ReplaceAll(how, " ", "-")))
		copied.Spec = *s.Spec.DeepCopy()
		a.create(t, copied)
		must(t, write(copied.Name))
		a.reload(t, copied)

		want := s.Spec.DeepCopy()
		want.Hardware.Compute.Processors[0].Manufacturer = "C"

		if got := copied.Spec; fmt.Sprint(jsonOf(t, got)) != fmt.Sprint(jsonOf(t, *want)) || len(copied.Annotations) != 0 {
			t.Errorf("%s: %s, want %s; annotations %v", how, jsonOf(t, got), jsonOf(t, *want), copied.Annotations)
		}
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()

	encoded, err := json.Marshal(value)
	must(t, err)

	return string(encoded)
}

func edited(t *testing.T, a api, name string, annotation bool) *unstructured.Unstructured {
	t.Helper()

	old := oldServer(t, name, `{}`)
	a.reload(t, old)
	must(t, unstructured.SetNestedField(old.Object, "C", "spec", "cpu", "manufacturer"))

	if !annotation {
		old.SetAnnotations(nil)
	}

	return old
}

// testVersionsApply has one manager apply in v1alpha1 and another in v1alpha2: each keeps, conflicts over and gives up its
// own fields, whatever version they are said in.
func testVersionsApply(t *testing.T, a api) {
	s := server("both")
	a.deleteLater(t, s)

	must(t, a.apply(t.Context(), oldServer(t, s.Name, `{"accepted":false,"system":{"manufacturer":"old"}}`), "old"))
	must(t, a.apply(t.Context(), applied(s.Name, map[string]any{
		"strategicPatches": []any{"a: one"}, "hardware": map[string]any{"memory": map[string]any{"totalSize": "1 GB"}},
	}), "new"))

	err := a.apply(t.Context(), applied(s.Name, map[string]any{"hardware": map[string]any{"system": map[string]any{"manufacturer": "new"}}}), "new")
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), ".spec.hardware.system.manufacturer") {
		t.Errorf("apply of a field that is owned in v1alpha1: %v", err)
	}

	must(t, a.apply(t.Context(), applied(s.Name, map[string]any{"cordoned": true}), "new"))
	a.reload(t, s)

	if s.Spec.StrategicPatches != nil || s.Spec.Hardware.Memory != nil && s.Spec.Hardware.Memory.TotalSize != "" || !s.Spec.Cordoned || s.Spec.Hardware.System.Manufacturer != "old" {
		t.Errorf("after the manager in v1alpha2 gave up its fields: %s", jsonOf(t, s.Spec))
	}

	before := s.ResourceVersion
	must(t, a.apply(t.Context(), oldServer(t, s.Name, `{"accepted":false,"system":{"manufacturer":"old"}}`), "old"))
	a.reload(t, s)

	if s.ResourceVersion != before {
		t.Error("the same apply again changed the object")
	}

	must(t, a.apply(t.Context(), oldServer(t, s.Name, `{"accepted":false}`), "old"))
	a.reload(t, s)

	if s.Spec.Hardware != nil && s.Spec.Hardware.System != nil && s.Spec.Hardware.System.Manufacturer != "" {
		t.Errorf("after the manager in v1alpha1 gave up its fields: %s", jsonOf(t, s.Spec))
	}

	for _, entry := range s.ManagedFields {
		if entry.APIVersion != v1alpha2.GroupVersion.String() {
			t.Errorf("%s owns fields in words of %s", entry.Manager, entry.APIVersion)
		}
	}
}

func testVersionsWatch(t *testing.T, a api) {
	for _, version := range []schema.GroupVersion{v1alpha1.GroupVersion, v1alpha2.GroupVersion} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(version.WithKind("ServerList"))

		w, err := a.client.Watch(t.Context(), list, client.MatchingFields{"metadata.name": "watched-" + version.Version})
		must(t, err)

		defer w.Stop()

		a.create(t, oldServer(t, "watched-"+version.Version, `{"accepted":true,"cpu":{"version":"X1"}}`))

		got := (<-w.ResultChan()).Object.(*unstructured.Unstructured) //nolint:forcetypeassert // fails the test
		if got.GetAPIVersion() != version.String() {
			t.Errorf("a watch of %s saw %s", version, got.GetAPIVersion())
		}

		if shown := text(t, got, "spec.cpu.version") != ""; shown != (version == v1alpha1.GroupVersion) {
			t.Errorf("a watch of %s saw %s", version, jsonOf(t, got.Object["spec"]))
		}
	}
}

func testInfrastructureVersions(t *testing.T, a api) {
	const group = "infrastructure.cluster.x-k8s.io"

	older := schema.GroupVersion{Group: group, Version: "v1alpha2"}
	hub := schema.GroupVersion{Group: group, Version: "v1alpha3"}

	cluster := object(t, older.WithKind("MetalCluster"), "two-ends", `{"apiEndpoints":[{"host":"a","port":1},{"host":"b","port":2}]}`)
	cluster.SetNamespace("default")
	a.create(t, cluster)
	a.reload(t, cluster)

	if got := text(t, cluster, "spec.apiEndpoints"); got != `[{"host":"a","port":1},{"host":"b","port":2}]` {
		t.Errorf("read again: %s", got)
	}

	a.kubectl.Do(t, "patch", "metalcluster", "two-ends", "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	a.kubectl.Do(t, "annotate", "metalclusters.v1alpha2.infrastructure.cluster.x-k8s.io", "two-ends", "a=b")
	a.reload(t, cluster)

	if got := text(t, cluster, "spec.apiEndpoints"); got != `[{"host":"a","port":1},{"host":"b","port":2}]` {
		t.Errorf("after a change of the status: %s", got)
	}

	newer := object(t, hub.WithKind("MetalCluster"), "two-ends", `{}`)
	newer.SetNamespace("default")
	a.reload(t, newer)

	if got := text(t, newer, "spec.controlPlaneEndpoint"); got != `{"host":"a","port":1}` {
		t.Errorf("in v1alpha3: %s", got)
	}

	must(t, unstructured.SetNestedField(newer.Object, "c", "spec", "controlPlaneEndpoint", "host"))
	must(t, a.client.Update(t.Context(), newer))
	a.reload(t, cluster)

	if got := text(t, cluster, "spec.apiEndpoints"); got != `[{"host":"c","port":1}]` {
		t.Errorf("after a change in v1alpha3: %s", got)
	}

	machine := object(t, hub.WithKind("MetalMachine"), "classy", `{"serverClassRef":{"kind":"ServerClass","name":"any"}}`)
	machine.SetNamespace("default")
	a.create(t, machine)

	old := object(t, older.WithKind("MetalMachine"), "classy", `{}`)
	old.SetNamespace("default")
	a.reload(t, old)
	old.SetAnnotations(nil)
	must(t, unstructured.SetNestedField(old.Object, "sidero://x", "spec", "providerID"))
	must(t, a.client.Update(t.Context(), old))
	a.reload(t, machine)

	if text(t, machine, "spec.serverClassRef.name") != `"any"` || text(t, machine, "spec.providerID") != `"sidero://x"` {
		t.Errorf("after a change in v1alpha2: %s", text(t, machine, "spec"))
	}

	resources := strings.Fields(a.kubectl.Do(t, "api-resources", "--api-group="+group, "--no-headers", "-o", "name"))
	if !slices.Contains(resources, "metalremediations."+group) || !slices.Contains(resources, "metalclustertemplates."+group) {
		t.Errorf("kubectl api-resources: %v", resources)
	}

	for _, name := range []string{"serverbindings", "metalremediations", "metalclustertemplates"} {
		if out, err := a.kubectl.Try(t, "get", "--raw", "/apis/"+older.String()+"/"+name); err == nil {
			t.Errorf("%s are served in %s: %s", name, older, out)
		}
	}
}

// testOwnersJoin: a manager that writes in both versions owns all that it wrote.
func testOwnersJoin(t *testing.T, a api) {
	s := server("one-manager")
	a.create(t, s)

	for version, patch := range map[string]string{"v1alpha1": `{"spec":{"cordoned":true}}`, "v1alpha2": `{"spec":{"hostname":"h"}}`} {
		a.kubectl.Do(t, "patch", "servers."+version+".metal.sidero.dev", s.Name, "--type=merge", "--field-manager=mine", "-p", patch)
	}

	for _, spec := range []map[string]any{{"cordoned": false}, {"hostname": "other"}} {
		if err := a.apply(t.Context(), applied(s.Name, spec), "other"); !apierrors.IsConflict(err) {
			t.Errorf("%v has no owner: %v", spec, err)
		}
	}
}

// testPatchesAreCompared by what they say: templates with patches cannot be changed, but they can be written again.
func testPatchesAreCompared(t *testing.T, a api) {
	const head, tail = `{"apiVersion":"bootstrap.cluster.x-k8s.io/v1alpha3","kind":"TalosConfigTemplate","metadata":{"name":"compared","namespace":"default"%s},` +
		`"spec":{"template":{"spec":{"generateType":"worker","configPatches":[{"op":"add","path":"/a","value":`, `}]}}}}`

	a.kubectl.With(fmt.Sprintf(head, "")+`{"b": 1, "a": "x<y"}`+tail).Do(t, "create", "-f", "-")
	a.kubectl.With(fmt.Sprintf(head, `,"labels":{"c":"d"}`)+`{"a":"x<y",   "b":1}`+tail).Do(t, "replace", "-f", "-")

	if out, err := a.kubectl.With(fmt.Sprintf(head, "")+`{"a":"x<y","b":2}`+tail).Try(t, "replace", "-f", "-"); err == nil {
		t.Errorf("replaced by another: %s", out)
	}
}

func testTemplatesStay(t *testing.T, a api) {
	for _, version := range []string{"v1alpha2", "v1alpha3"} {
		template := object(t, schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: version, Kind: "MetalMachineTemplate"},
			"stays-"+version, `{"template":{"spec":{"serverRef":{"kind":"Server","name":"one"}}}}`)
		template.SetNamespace("default")
		a.create(t, template)

		must(t, unstructured.SetNestedField(template.Object, "two", "spec", "template", "spec", "serverRef", "name"))

		if err := a.client.Update(t.Context(), template); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec: Forbidden: cannot be changed") {
			t.Errorf("%s: %v", version, err)
		}

		a.reload(t, template)
		template.SetLabels(map[string]string{"a": "b"})
		must(t, a.client.Update(t.Context(), template))

		// Cluster API's topology controller only asks what would change.
		template.SetAnnotations(map[string]string{"topology.cluster.x-k8s.io/dry-run": ""})
		must(t, unstructured.SetNestedField(template.Object, "two", "spec", "template", "spec", "serverRef", "name"))
		must(t, a.client.Update(t.Context(), template, &client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}))
	}
}
