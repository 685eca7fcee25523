package controlplane

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

// whole is what upstream's cluster template says.
const whole = `
version: v1.34.0
replicas: 3
infrastructureTemplate: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: cp}
controlPlaneConfig: {controlplane: {generateType: controlplane, talosVersion: v1.13}}
`

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct{ old, replacement, want string }{
		"upstream's template":        {},
		"an empty init":              {"{controlplane: {", "{init: {generateType: \"\"}, controlplane: {", ""},
		"an init of old":             {"{controlplane: {", "{init: {generateType: init}, controlplane: {", ""},
		"version without a v":        {"v1.34.0", "1.34.0", ""},
		"OnDelete":                   {"replicas: 3", "rolloutStrategy: {type: OnDelete}", ""},
		"no surge":                   {"replicas: 3", "rolloutStrategy: {rollingUpdate: {maxSurge: 0}}", ""},
		"the newer reference":        {"infrastructureTemplate: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3,", "machineTemplate: {spec: {infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io,", "!"},
		"version":                    {"v1.34.0", "latest", "spec.version"},
		"no version":                 {"version: v1.34.0", "", "spec.version"},
		"too few":                    {"replicas: 3", "replicas: -1", "spec.replicas"},
		"no infrastructure":          {"infrastructureTemplate: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: cp}", "", "spec.infrastructureTemplate: Required"},
		"infrastructure of no name":  {", name: cp", "", "spec.infrastructureTemplate.name"},
		"two infrastructures":        {"replicas: 3", "machineTemplate: {spec: {infrastructureRef: {apiGroup: g, kind: K, name: n}}}", "spec.machineTemplate.spec.infrastructureRef: Forbidden"},
		"workers":                    {"generateType: controlplane", "generateType: join", "spec.controlPlaneConfig.controlplane.generateType"},
		"unknown type":               {"generateType: controlplane", "generateType: king", "spec.controlPlaneConfig.controlplane.generateType"},
		"data that has no effect":    {"talosVersion: v1.13", "data: x", ""},
		"none without data":          {"generateType: controlplane", "generateType: none", "spec.controlPlaneConfig.controlplane.data: Required"},
		"operation":                  {"talosVersion: v1.13", "configPatches: [{op: error, path: /a}]", "spec.controlPlaneConfig.controlplane.configPatches[0].op"},
		"patch that is no YAML":      {"talosVersion: v1.13", "strategicPatches: [\"a: {\"]", "spec.controlPlaneConfig.controlplane.strategicPatches[0]"},
		"strategy":                   {"replicas: 3", "rolloutStrategy: {type: Hope}", "spec.rolloutStrategy.type"},
		"surge":                      {"replicas: 3", "rolloutStrategy: {rollingUpdate: {maxSurge: 50%}}", "spec.rolloutStrategy.rollingUpdate.maxSurge"},
		"taint":                      {"replicas: 3", "machineTemplate: {spec: {taints: [{key: a, effect: Scare}]}}", "spec.machineTemplate.spec.taints[0].effect"},
		"gate":                       {"replicas: 3", "machineTemplate: {spec: {readinessGates: [{polarity: Up}]}}", "spec.machineTemplate.spec.readinessGates[0].polarity"},
		"label":                      {"replicas: 3", "machineTemplate: {metadata: {labels: {a b: c}}}", "spec.machineTemplate.metadata.labels"},
		"two gates of a type":        {"replicas: 3", "machineTemplate: {spec: {readinessGates: [{conditionType: A}, {conditionType: A}]}}", "spec.machineTemplate.spec.readinessGates[1]: Duplicate"},
		"two taints":                 {"replicas: 3", "machineTemplate: {spec: {taints: [{key: a, effect: NoExecute}, {key: a, effect: NoSchedule}]}}", ""},
		"a taint twice":              {"replicas: 3", "machineTemplate: {spec: {taints: [{key: a, effect: NoExecute}, {key: a, effect: NoExecute}]}}", "spec.machineTemplate.spec.taints[1]: Duplicate"},
		"rollout":                    {"replicas: 3", "rollout: {after: \"2026-03-09T09:00:00Z\"}", ""},
		"names":                      {"replicas: 3", "machineNamingStrategy: {template: \"{{.cluster.name}}-cp-{{ .random }}\"}", ""},
		"default names":              {"replicas: 3", "machineNamingStrategy: {}", ""},
		"one name for all":           {"replicas: 3", "machineNamingStrategy: {template: \"{{ .cluster.name }}-cp\"}", "spec.machineNamingStrategy.template: Invalid value: \"{{ .cluster.name }}-cp\": must hold {{ .random }}"},
		"a loop for names":           {"replicas: 3", "machineNamingStrategy: {template: \"{{ range 9 }}{{ .random }}{{ end }}\"}", "is not one of {{ .cluster.name }}"},
		"names in capitals":          {"replicas: 3", "machineNamingStrategy: {template: \"CP-{{ .random }}\"}", "makes names like \"CP-bcdfg\""},
		"names without an end":       {"replicas: 3", "machineNamingStrategy: {template: \"{{ .random }}-{{ .random\"}", "makes names like"},
		"names of many letters":      {"replicas: 3", "machineNamingStrategy: {template: \"{{ .random }}" + strings.Repeat("a", 256) + "\"}", "spec.machineNamingStrategy.template: Too long"},
		"for ever is said otherwise": {"replicas: 3", "machineTemplate: {spec: {deletion: {nodeDrainTimeoutSeconds: -1}}}", "spec.machineTemplate.spec.deletion.nodeDrainTimeoutSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha3.TalosControlPlane{}
			text := strings.Replace(whole, c.old, c.replacement, 1)

			if c.want == "!" { // two brackets more
				text, c.want = strings.Replace(text, "name: cp}", "name: cp}}}", 1), ""
			}

			if err := yaml.UnmarshalStrict([]byte(text), &p.Spec); err != nil {
				t.Fatal(err)
			}

			normalise(p)

			errs := validate(p).ToAggregate()
			if c.want == "" && errs != nil || c.want != "" && (errs == nil || !strings.Contains(errs.Error(), c.want)) {
				t.Errorf("got %v, want %q", errs, c.want)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	p := &v1alpha3.TalosControlPlane{Spec: v1alpha3.TalosControlPlaneSpec{Version: "1.34.0"}}
	if warnings := normalise(p); len(warnings) != 0 {
		t.Errorf("warned %v", warnings)
	}

	if s := p.Spec; *s.Replicas != 1 || s.Version != "v1.34.0" || s.RolloutStrategy.Type != v1alpha3.RollingUpdate || s.RolloutStrategy.RollingUpdate.MaxSurge.IntValue() != 1 {
		t.Errorf("made %+v %+v", s, s.RolloutStrategy)
	}

	*p.Spec.Replicas = 4
	p.Spec.ControlPlaneConfig.ControlPlane.TalosVersion = "newest"

	warnings := strings.Join(normalise(p), "\n")
	for _, want := range []string{"spec.replicas: an even number", "spec.controlPlaneConfig.controlplane.talosVersion"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warned %q, want %q", warnings, want)
		}
	}
}

// TestTemplates lets a template leave open what a ClusterClass and a Cluster say.
func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"{spec: {controlPlaneConfig: {controlplane: {generateType: controlplane}}}}":                                                        "",
		"{spec: {controlPlaneConfig: {controlplane: {generateType: none}}}}":                                                                "", // patches may supply the data
		"{metadata: {labels: {a b: c}}, spec: {controlPlaneConfig: {controlplane: {generateType: none}}}}":                                  "spec.template.metadata.labels",
		"{spec: {controlPlaneConfig: {controlplane: {generateType: worker}}}}":                                                              "spec.template.spec.controlPlaneConfig.controlplane.generateType",
		"{spec: {machineNamingStrategy: {template: a}, controlPlaneConfig: {controlplane: {generateType: none}}}}":                          "spec.template.spec.machineNamingStrategy.template",
		"{spec: {rolloutStrategy: {type: Hope}, controlPlaneConfig: {controlplane: {generateType: none}}}}":                                 "spec.template.spec.rolloutStrategy.type",
		"{spec: {machineTemplate: {spec: {infrastructureRef: {name: n}}}, controlPlaneConfig: {controlplane: {generateType: none}}}}":       "spec.template.spec.machineTemplate.spec.infrastructureRef: Forbidden",
		"{spec: {machineTemplate: {spec: {deletion: {nodeDeletionTimeoutSeconds: -1}}}, controlPlaneConfig: {controlplane: {data: some}}}}": "spec.template.spec.machineTemplate.spec.deletion.nodeDeletionTimeoutSeconds",
	} {
		template := &v1alpha3.TalosControlPlaneTemplate{}
		if err := yaml.UnmarshalStrict([]byte(text), &template.Spec.Template); err != nil {
			t.Fatal(err)
		}

		normaliseTemplate(template)

		if surge := template.Spec.Template.Spec.RolloutStrategy.RollingUpdate; want == "" && surge.MaxSurge.IntValue() != 1 {
			t.Errorf("%s: surge %v", text, surge)
		}

		errs := validateTemplate(template).ToAggregate()
		if want == "" && errs != nil || want != "" && (errs == nil || !strings.Contains(errs.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, errs, want)
		}
	}
}

func TestValidateStatus(t *testing.T) {
	for text, want := range map[string]string{
		"{replicas: 3, versions: [{version: v1.33.1, replicas: 1}, {version: v1.34.0, replicas: 2}]}": "",
		"{versions: [{version: v1.33.1}, {version: v1.33.1}]}":                                        "status.versions[1]: Duplicate",
		"{versions: [{replicas: 1}]}":                                                                 "status.versions[0].version: Required",
		"{versions: [{version: v1.33.1, replicas: -1}]}":                                              "status.versions[0].replicas",
		"{replicas: 2147483648}":                                                                      "status.replicas",
		"{upToDateReplicas: -1}":                                                                      "status.upToDateReplicas",
	} {
		status := v1alpha3.TalosControlPlaneStatus{}
		if err := yaml.UnmarshalStrict([]byte(text), &status); err != nil {
			t.Fatal(err)
		}

		errs := validateCounts(status).ToAggregate()
		if want == "" && errs != nil || want != "" && (errs == nil || !strings.Contains(errs.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, errs, want)
		}
	}
}
