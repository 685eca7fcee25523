package apiserver_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	bootstrapv1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	controlplanev1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

// testTalosTopology applies what Cluster API's topology controller does for a Cluster with a ClusterClass: every field of a
// control plane that the contract names.
func testTalosTopology(t *testing.T, a api) {
	const manifest = `
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlane
metadata: {name: topology, labels: {topology.cluster.x-k8s.io/owned: ""}}
spec:
  version: v1.34.0
  replicas: 3
  machineTemplate:
    metadata: {labels: {a: b}, annotations: {c: d}}
    spec:
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: MetalMachineTemplate, name: topology-abcde}
      deletion: {nodeDrainTimeoutSeconds: 10, nodeVolumeDetachTimeoutSeconds: 20, nodeDeletionTimeoutSeconds: 0}
      readinessGates: [{conditionType: Storage}, {conditionType: Broken, polarity: Negative}]
      taints: [{key: k, value: v, effect: NoSchedule, propagation: Always}]
  rollout: {after: "2026-03-09T09:00:00Z"}
  controlPlaneConfig: {controlplane: {generateType: controlplane}}
`

	o := parse(t, manifest)
	a.deleteLater(t, o)

	apply := func(o *unstructured.Unstructured, options ...client.ApplyOption) error {
		o = o.DeepCopy()

		return a.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), append(options, client.FieldOwner("capi-topology"), client.ForceOwnership)...)
	}

	must(t, apply(o))
	a.reload(t, o)
	before := o.GetResourceVersion()

	must(t, apply(parse(t, manifest)))
	a.reload(t, o)

	if o.GetResourceVersion() != before {
		t.Error("applying the same again changed the object")
	}

	want := parse(t, manifest)
	for _, path := range []string{"spec.machineTemplate", "spec.rollout", "spec.controlPlaneConfig", "spec.replicas", "spec.version"} {
		if got, want := text(t, o, path), text(t, want, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}

	// What is not wanted any more goes: one of the gates, the rollout.
	gates := []any{map[string]any{"conditionType": "Storage"}}
	must(t, unstructured.SetNestedSlice(want.Object, gates, "spec", "machineTemplate", "spec", "readinessGates"))
	unstructured.RemoveNestedField(want.Object, "spec", "rollout")
	must(t, apply(want))
	a.reload(t, o)

	if got := text(t, o, "spec.machineTemplate.spec.readinessGates"); got != `[{"conditionType":"Storage"}]` || text(t, o, "spec.rollout") != "" {
		t.Errorf("left gates %s, rollout %s", got, text(t, o, "spec.rollout"))
	}
}

func testTalosStays(t *testing.T, a api) {
	config := parse(t, "{apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3, kind: TalosConfig, metadata: {name: stays}, spec: {generateType: worker}}")
	template := parse(t, strings.ReplaceAll(talosConfigTemplate, "NAME", "stays"))
	planes := parse(t, "{apiVersion: controlplane.cluster.x-k8s.io/v1alpha3, kind: TalosControlPlaneTemplate, metadata: {name: stays}, "+
		"spec: {template: {spec: {controlPlaneConfig: {controlplane: {generateType: controlplane}}}}}}")
	a.create(t, config, template, planes)

	for object, path := range map[*unstructured.Unstructured]string{
		config: "spec.talosVersion", template: "spec.template.spec.talosVersion",
		planes: "spec.template.spec.controlPlaneConfig.controlplane.talosVersion",
	} {
		must(t, unstructured.SetNestedField(object.Object, "v1.12", strings.Split(path, ".")...))

		if err := a.client.Update(t.Context(), object); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec: Forbidden: cannot be changed") {
			t.Errorf("%s: %v", object.GetKind(), err)
		}

		// Cluster API's topology controller only asks what would change.
		object.SetAnnotations(map[string]string{"topology.cluster.x-k8s.io/dry-run": ""})
		must(t, a.client.Update(t.Context(), object, &client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}))

		a.reload(t, object)
		object.SetLabels(map[string]string{"a": "b"})
		object.SetFinalizers([]string{"example.com/held"})
		must(t, a.client.Update(t.Context(), object))
		object.SetFinalizers(nil)
		must(t, a.client.Update(t.Context(), object))
	}
}

func testTalosRefusals(t *testing.T, a api) {
	for _, c := range []struct {
		kind       schema.GroupVersionKind
		spec, says string
	}{
		{bootstrapv1.GroupVersion.WithKind("TalosConfig"), `{"generateType":"king"}`, `spec.generateType: Invalid value: "king"`},
		{bootstrapv1.GroupVersion.WithKind("TalosConfig"), `{"generateType":"none"}`, "spec.data: Required value"},
		{bootstrapv1.GroupVersion.WithKind("TalosConfigTemplate"), `{"template":{"spec":{"generateType":"join","configPatches":[{"op":"error","path":"/a"}]}}}`,
			"spec.template.spec.configPatches[0].op: Invalid value"},
		{bootstrapv1.GroupVersion.WithKind("TalosConfigTemplate"), `{"template":{"spec":{"generateType":"join","strategicPatches":[{"machine":{}}]}}}`, "strategicPatches"},
		{controlplanev1.GroupVersion.WithKind("TalosControlPlane"), `{}`, "spec.version: Invalid value"},
		{controlplanev1.GroupVersion.WithKind("TalosControlPlane"), `{}`, "spec.infrastructureTemplate: Required value"},
		{controlplanev1.GroupVersion.WithKind("TalosControlPlane"), `{}`, "spec.controlPlaneConfig.controlplane.generateType: Invalid value"},
		{controlplanev1.GroupVersion.WithKind("TalosControlPlane"), `{"replicas":2147483648}`, "spec.replicas: Invalid value"},
		{controlplanev1.GroupVersion.WithKind("TalosControlPlane"), `{"replicas":"3"}`, "spec.replicas"},
		{controlplanev1.GroupVersion.WithKind("TalosControlPlaneTemplate"), `{"template":{"spec":{"controlPlaneConfig":{"controlplane":{"generateType":"join"}}}}}`,
			"spec.template.spec.controlPlaneConfig.controlplane.generateType: Invalid value"},
	} {
		o := object(t, c.kind, "refused", c.spec)
		o.SetNamespace(metav1.NamespaceDefault)

		if err := a.client.Create(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %s: %v, want it to hold %s", c.kind.Kind, c.spec, err, c.says)
		}
	}
}

// testTalosStatus writes by server-side apply, as a controller may, all that Cluster API reads, and reads it again.
func testTalosStatus(t *testing.T, a api) {
	for manifest, status := range map[string]string{
		strings.ReplaceAll(talosControlPlane, "NAME", "status"): `
initialized: true
ready: true
bootstrapped: true
initialization: {controlPlaneInitialized: true}
selector: a=b
version: v1.33.1
versions: [{version: v1.33.1, replicas: 1}, {version: v1.34.0, replicas: 2}]
replicas: 3
readyReplicas: 2
availableReplicas: 2
upToDateReplicas: 2
unavailableReplicas: 1
observedGeneration: 1
conditions: [{type: Ready, status: "False", severity: Info, reason: ScalingUp, message: wait, lastTransitionTime: "2026-03-09T09:00:00Z"}]
`,
		"{apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3, kind: TalosConfig, metadata: {name: status}, spec: {generateType: worker}}": `
ready: true
initialization: {dataSecretCreated: true}
dataSecretName: status-bootstrap-data
talosConfig: "context: status"
observedGeneration: 1
conditions: [{type: DataSecretAvailable, status: "True", lastTransitionTime: "2026-03-09T09:00:00Z"}]
`,
	} {
		o, written := parse(t, manifest), parse(t, manifest)
		a.create(t, o)

		var content map[string]any
		must(t, yaml.Unmarshal([]byte(status), &content))
		written.Object["status"] = content
		unstructured.RemoveNestedField(written.Object, "spec")

		must(t, a.client.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(written.DeepCopy()), client.FieldOwner("controller")))
		a.reload(t, o)

		if got, want := text(t, o, "status"), text(t, written, "status"); got != want {
			t.Errorf("%s: status is %s, want %s", o.GetKind(), got, want)
		}
	}
}
