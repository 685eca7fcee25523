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
		"data beside a type":         {"talosVersion: v1.13", "data: x", "spec.controlPlaneConfig.controlplane.data: Forbidden"},
		"none without data":          {"generateType: controlplane", "generateType: none", "spec.controlPlaneConfig.controlplane.data: Required"},
		"operation":                  {"talosVersion: v1.13", "configPatches: [{op: error, path: /a}]", "spec.controlPlaneConfig.controlplane.configPatches[0].op"},
		"strategy":                   {"replicas: 3", "rolloutStrategy: {type: Hope}", "spec.rolloutStrategy.type"},
		"surge":                      {"replicas: 3", "rolloutStrategy: {rollingUpdate: {maxSurge: 50%}}", "spec.rolloutStrategy.rollingUpdate.maxSurge"},
		"taint":                      {"replicas: 3", "machineTemplate: {spec: {taints: [{key: a, effect: Scare}]}}", "spec.machineTemplate.spec.taints[0].effect"},
		"gate":                       {"replicas: 3", "machineTemplate: {spec: {readinessGates: [{polarity: Up}]}}", "spec.machineTemplate.spec.readinessGates[0].polarity"},
		"label":                      {"replicas: 3", "machineTemplate: {metadata: {labels: {a b: c}}}", "spec.machineTemplate.metadata.labels"},
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
	p.Spec.ControlPlaneConfig.ControlPlane.StrategicPatches = []string{"a: {"}
	p.Spec.ControlPlaneConfig.ControlPlane.TalosVersion = "newest"

	warnings := strings.Join(normalise(p), "\n")
	for _, want := range []string{"spec.replicas: an even number", "spec.controlPlaneConfig.controlplane.strategicPatches[0]", "spec.controlPlaneConfig.controlplane.talosVersion"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warned %q, want %q", warnings, want)
		}
	}
}
