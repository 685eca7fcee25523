package machineconfig_test

import (
	"testing"

	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// TestLabelled reads what Label writes, and nothing else.
func TestLabelled(t *testing.T) {
	const label = "metal.sidero.dev/uuid=a"

	for name, c := range map[string]struct {
		configuration string
		want          bool
	}{
		"alone":              {"version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: " + label + "}}}\n", true},
		"with others":        {"version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: \"b=c," + label + ",d=e\"}}}\n", true},
		"in a list":          {"version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: [\"b=c\", " + label + "]}}}\n", true},
		"behind a document":  {"apiVersion: v1alpha1\nkind: HostnameConfig\n---\nversion: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: " + label + "}}}\n", true},
		"the begin of it":    {"version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: " + label + "b}}}\n", false},
		"of another":         {"version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: metal.sidero.dev/uuid=b}}}\n", false},
		"none":               {"version: v1alpha1\nmachine: {}\n", false},
		"numbers":            {"version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: [1, 2]}}}\n", false},
		"no mapping":         {"version: v1alpha1\nmachine: [1]\n", false},
		"nothing":            {"", false},
		"no YAML":            {"{", false},
		"of another's world": {"kind: Pod\nmachine: {kubelet: {extraArgs: {node-labels: " + label + "}}}\n", false},
	} {
		if got := machineconfig.Labelled([]byte(c.configuration), label); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}

	labelled, err := machineconfig.Label([]byte("version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: b=c}}}\n"), label)
	if err != nil || !machineconfig.Labelled(labelled, label) {
		t.Errorf("what Label writes is not read: %q, %v", labelled, err)
	}
}
