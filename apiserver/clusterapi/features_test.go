package clusterapi

import (
	"strings"
	"testing"
)

func TestCheckFeatures(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"MachinePool=false,ClusterTopology=false": "",
		"MachineTaintPropagation=true":            "",
		"MachinePools=true":                       "MachinePools; known are ClusterTopology, MachinePool",
		"MachinePool":                             "missing bool value",
		"MachinePool=perhaps":                     "invalid value",
		"RuntimeSDK=true":                         "RuntimeSDK cannot be switched on",
	} {
		if err := CheckFeatures(text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
