package apiserver_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestTalos tries what people, Cluster API and autoscalers do with the kinds of the Talos providers.
func TestTalos(t *testing.T) {
	a := newAPI(t)

	for name, test := range map[string]func(*testing.T, api){
		"manifests":                        testTalosManifests,
		"tables":                           testTalosTables,
		"explain":                          testTalosExplain,
		"scale":                            testTalosScale,
		"scale by those who apply":         testTalosScaleOwners,
		"what a topology applies":          testTalosTopology,
		"configurations stay":              testTalosStays,
		"refusals name the field":          testTalosRefusals,
		"status is what Cluster API reads": testTalosStatus,
	} {
		t.Run(name, func(t *testing.T) { test(t, a) })
	}

	if lines := libraries.Since(0, "SHOULD NOT HAPPEN", "panic"); lines != nil {
		t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
	}
}

// parse reads an object and puts it into the default namespace.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()

	o := &unstructured.Unstructured{}
	must(t, yaml.Unmarshal([]byte(text), &o.Object))
	o.SetNamespace(metav1.NamespaceDefault)

	return o
}

// controlPlane is one as upstream's cluster template has it.
func controlPlane(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()

	return parse(t, strings.ReplaceAll(talosControlPlane, "NAME", name))
}

const talosControlPlane = `
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlane
metadata:
  name: NAME
spec:
  version: v1.34.0
  replicas: 1
  infrastructureTemplate:
    kind: MetalMachineTemplate
    apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
    name: NAME
  controlPlaneConfig:
    controlplane:
      generateType: controlplane
      talosVersion: v1.13
`

const talosConfigTemplate = `
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfigTemplate
metadata:
  name: NAME
spec:
  template:
    spec:
      generateType: join
      talosVersion: v1.13
`

// olderManifests are what Sidero's documents and those of the providers show besides.
const olderManifests = `
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlane
metadata: {name: older}
spec:
  version: 1.30.1
  infrastructureTemplate: {kind: MetalMachineTemplate, apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, name: older, namespace: default}
  rolloutStrategy: {type: OnDelete}
  controlPlaneConfig:
    init: {generateType: init, configPatches: [{op: replace, path: /cluster/network/cni, value: {name: custom, urls: ["http://a/b.yaml"]}}]}
    controlplane: {generateType: none, data: "version: v1alpha1"}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfigTemplate
metadata: {name: older}
spec:
  template:
    spec:
      generateType: worker
      hostname: {source: MachineName}
      configPatches:
      - {op: add, path: /machine/kubelet/extraArgs, value: {rotate-server-certificates: "true"}}
      - {op: remove, path: /machine/install/wipe}
      strategicPatches: ["machine: {install: {disk: /dev/sda}}"]
---
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfig
metadata: {name: older}
spec: {generateType: worker, talosVersion: v1.13.6}
---
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlaneTemplate
metadata: {name: older}
spec:
  template:
    metadata: {labels: {a: b}}
    spec:
      machineNamingStrategy: {template: "{{ .talosControlPlane.name }}-{{ .random }}"}
      machineTemplate: {metadata: {labels: {c: d}}, spec: {deletion: {nodeDrainTimeoutSeconds: 600}}}
      controlPlaneConfig: {controlplane: {generateType: controlplane}}
`

func testTalosManifests(t *testing.T, a api) {
	manifests := strings.ReplaceAll(talosControlPlane+"---"+talosConfigTemplate, "NAME", "manifests") + "---" + olderManifests
	kubectl := a.kubectl.With(manifests)

	t.Cleanup(func() {
		if out, err := kubectl.Command(context.Background(), "delete", "-f", "-").CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
		}
	})

	for _, args := range []string{"apply --validate=strict -f -", "apply --validate=strict -f -", "apply --server-side --force-conflicts --validate=strict -f -"} {
		if out := kubectl.Do(t, strings.Fields(args)...); strings.Contains(out, "arning") {
			t.Errorf("kubectl %s: %s", args, out)
		}
	}

	if out, err := kubectl.Try(t, "diff", "-f", "-"); err != nil {
		t.Errorf("differs from what was applied: %s", out)
	}

	older := controlPlane(t, "older")
	a.reload(t, older)

	for path, want := range map[string]string{
		"spec.version": `"v1.30.1"`, "spec.replicas": "1", "spec.rolloutStrategy": `{"type":"OnDelete"}`,
		"spec.controlPlaneConfig.init.configPatches": `[{"op":"replace","path":"/cluster/network/cni","value":{"name":"custom","urls":["http://a/b.yaml"]}}]`,
	} {
		if got := text(t, older, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}

	listed := a.kubectl.Do(t, "get", "cluster-api", "-o", "name")
	for _, want := range []string{
		"taloscontrolplane.controlplane.cluster.x-k8s.io/manifests", "taloscontrolplanetemplate.controlplane.cluster.x-k8s.io/older",
		"talosconfig.bootstrap.cluster.x-k8s.io/older", "talosconfigtemplate.bootstrap.cluster.x-k8s.io/manifests",
	} {
		if !strings.Contains(listed, want) {
			t.Errorf("kubectl get cluster-api: %s, want it to hold %s", listed, want)
		}
	}
}

func testTalosTables(t *testing.T, a api) {
	plane := controlPlane(t, "table")
	config := parse(t, "{apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3, kind: TalosConfig, metadata: {name: table}, spec: {generateType: worker}}")
	template := parse(t, strings.ReplaceAll(talosConfigTemplate, "NAME", "table"))
	a.create(t, plane, config, template)

	plane.Object["status"] = map[string]any{"ready": true, "initialized": true, "replicas": int64(3), "readyReplicas": int64(2), "unavailableReplicas": int64(1)}
	must(t, a.client.Status().Update(t.Context(), plane))

	config.Object["status"] = map[string]any{"ready": true, "dataSecretName": "table-bootstrap-data"}
	must(t, a.client.Status().Update(t.Context(), config))

	for command, want := range map[string]string{
		"get tcp table": `
NAME    READY   INITIALIZED   REPLICAS   READY REPLICAS   UNAVAILABLE REPLICAS   AGE
table   true    true          3          2                1                      <age>`,
		"get tcp table -o wide": `
NAME    READY   INITIALIZED   REPLICAS   READY REPLICAS   UNAVAILABLE REPLICAS   VERSION   AGE
table   true    true          3          2                1                      v1.34.0   <age>`,
		"get talosconfigs table -o wide": `
NAME    TYPE     READY   DATA SECRET            AGE
table   worker   true    table-bootstrap-data   <age>`,
		"get talosconfigtemplates table": `
NAME    TYPE   AGE
table   join   <age>`,
	} {
		got := lines(a.kubectl.Do(t, strings.Fields(command)...))
		if want := lines(want); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("kubectl %s:\n%s\nwant\n%s", command, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func testTalosExplain(t *testing.T, a api) {
	for command, wants := range map[string][]string{
		"explain tcp.spec": {
			"GROUP:      controlplane.cluster.x-k8s.io", "replicas\t<integer>", "version\t<string> -required-",
			"infrastructureTemplate\t<ObjectReference>", "controlPlaneConfig\t<ControlPlaneConfig> -required-",
		},
		"explain tcp.spec.rolloutStrategy.rollingUpdate.maxSurge":      {"IntOrString"},
		"explain tcp.spec.machineTemplate --recursive":                 {"infrastructureRef", "nodeDrainTimeoutSeconds", "readinessGates", "taints"},
		"explain tcp.spec.controlPlaneConfig.controlplane":             {"generateType\t<string> -required-", "strategicPatches\t<[]string>"},
		"explain tcp.status.conditions":                                {"severity\t<string>"},
		"explain tcpt.spec.template.spec":                              {"machineNamingStrategy"},
		"explain talosconfig.spec.hostname":                            {"MachineName or InfrastructureName"},
		"explain talosconfigtemplate.spec.template.spec.configPatches": {"op\t<string> -required-"},
	} {
		got := a.kubectl.Do(t, strings.Fields(command)...)

		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("kubectl %s:\n%s\nwant it to hold %q", command, got, want)
			}
		}
	}
}

func testTalosScale(t *testing.T, a api) {
	plane := controlPlane(t, "scale")
	a.create(t, plane)

	plane.Object["status"] = map[string]any{"ready": false, "initialized": false, "replicas": int64(1), "selector": "cluster.x-k8s.io/cluster-name=scale"}
	must(t, a.client.Status().Update(t.Context(), plane))

	for _, c := range []struct {
		args, says string
		refused    bool
	}{
		{"scale tcp scale --replicas=3", "scaled", false},
		{"scale taloscontrolplane scale --replicas=5 --current-replicas=3", "scaled", false},
		{"scale taloscontrolplane scale --replicas=7 --current-replicas=3", "Expected replicas to be 3, was 5", true},
		{"scale tcp scale --replicas=4", "Warning: spec.replicas: an even number", false},
		{"patch tcp scale --subresource=scale --type=merge -p {\"spec\":{\"replicas\":-1}}", "spec.replicas: Invalid value: -1", true},
		{"get tcp scale --subresource=scale -o jsonpath={.kind},{.spec.replicas},{.status.replicas},{.status.selector}", "Scale,4,1,cluster.x-k8s.io/cluster-name=scale", false},
		{"scale tcp absent --replicas=3", "not found", true},
	} {
		out, err := a.kubectl.Try(t, strings.Fields(c.args)...)
		if (err != nil) != c.refused || !strings.Contains(out, c.says) {
			t.Errorf("kubectl %s: %v %s, want %s", c.args, err, out, c.says)
		}
	}

	a.reload(t, plane)

	if got := text(t, plane, "spec.replicas"); got != "4" || plane.GetGeneration() != 4 {
		t.Errorf("%s replicas in generation %d", got, plane.GetGeneration())
	}
}

// testTalosScaleOwners lets one apply an object and another scale it: the first hears of the conflict.
func testTalosScaleOwners(t *testing.T, a api) {
	manifest := strings.ReplaceAll(talosControlPlane, "NAME", "owners")
	a.deleteLater(t, controlPlane(t, "owners"))

	gitops := a.kubectl.With(manifest)
	gitops.Do(t, "apply", "--server-side", "--field-manager=gitops", "-f", "-")
	a.kubectl.Do(t, "scale", "tcp", "owners", "--replicas=3")

	if out, err := gitops.Try(t, "apply", "--server-side", "--field-manager=gitops", "-f", "-"); err == nil || !strings.Contains(out, ".spec.replicas") {
		t.Errorf("applied over a scale: %v %s", err, out)
	}

	free := a.kubectl.With(strings.Replace(manifest, "  replicas: 1\n", "", 1))
	free.Do(t, "apply", "--server-side", "--field-manager=gitops", "-f", "-")

	if got := a.kubectl.Do(t, "get", "tcp", "owners", "-o", "jsonpath={.spec.replicas}"); got != "3" {
		t.Errorf("%s replicas after one who does not care applied", got)
	}
}
