package bootstrap

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
)

func TestValidateSpec(t *testing.T) {
	for text, want := range map[string]struct{ config, template, doubt, warning string }{
		// what upstream's documents and users show
		"{generateType: join, talosVersion: v1.13}":                                                                         {},
		"{generateType: worker, talosVersion: 1.10.3, hostname: {}}":                                                        {},
		"{generateType: init, talosVersion: v1.14.0-alpha.1}":                                                               {},
		"{generateType: controlplane, hostname: {source: InfrastructureName}}":                                              {},
		"{generateType: none, data: 'version: v1alpha1'}":                                                                   {},
		"{generateType: worker, configPatches: [{op: add, path: /machine/sysctls, value: {a: b}}, {op: remove, path: /a}]}": {},
		"{generateType: worker, strategicPatches: ['machine: {install: {disk: /dev/sda}}']}":                                {},

		// what only a template may leave open
		"{generateType: none}": {config: "spec.data: Required"},

		// what nothing can be made from
		"{}":                      {config: "spec.generateType", template: "spec.generateType"},
		"{generateType: Worker}":  {config: "spec.generateType", template: `must be one of "controlplane", "worker", "join", "init", "none"`},
		"{generateType: unknown}": {config: "spec.generateType", template: "spec.generateType"},
		"{generateType: worker, hostname: {source: Dice}}":                         {config: "spec.hostname.source", template: "spec.hostname.source"},
		"{generateType: worker, configPatches: [{op: add, path: /a}, {path: /a}]}": {config: "spec.configPatches[1].op", template: "spec.configPatches[1].op"},
		"{generateType: worker, configPatches: [{op: add, path: machine}]}":        {config: "spec.configPatches[0].path", template: "spec.configPatches[0].path"},
		"{generateType: worker, configPatches: [{op: remove, path: ''}]}":          {config: "spec.configPatches[0].path", template: "spec.configPatches[0].path"},
		"{generateType: worker, configPatches: [{op: move, path: /a}]}":            {config: "spec.configPatches[0].op", template: "spec.configPatches[0].op"},
		"{generateType: worker, strategicPatches: ['a: b', 'a: [b']}":              {config: "spec.strategicPatches[1]", template: "spec.strategicPatches[1]"},
		"{generateType: worker, strategicPatches: ['[{op: add, path: a}]']}":       {config: "[0].path: \"a\" must begin", template: "spec.strategicPatches[0]"},

		// what a newer Talos may take
		"{generateType: worker, strategicPatches: ['machine: {}', 'machine: {future: 1}']}": {doubt: "spec.strategicPatches[1]"},

		// what upstream accepts to no effect
		"{generateType: worker, data: x}":              {warning: "spec.data"},
		"{generateType: worker, talosVersion: newest}": {warning: "spec.talosVersion"},
		"{generateType: worker, talosVersion: v1}":     {warning: "spec.talosVersion"},
	} {
		s := v1alpha3.TalosConfigSpec{}
		if err := yaml.UnmarshalStrict([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}

		path := field.NewPath("spec")
		expect(t, text, ValidateSpec(s, path).ToAggregate(), want.config)
		expect(t, text, ValidateTemplate(s, path).ToAggregate(), want.template)

		if want.config == "" {
			expect(t, text, Doubt(s, path).ToAggregate(), want.doubt)
		}

		if warnings := strings.Join(Settle(s, path), "; "); (want.warning == "") != (warnings == "") || !strings.Contains(warnings, want.warning) {
			t.Errorf("%s: warned %q, want %q", text, warnings, want.warning)
		}
	}
}

func expect(t *testing.T, text string, err error, want string) {
	t.Helper()

	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want %q", text, err, want)
	}
}
