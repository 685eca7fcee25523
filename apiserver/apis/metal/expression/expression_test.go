package expression_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/expression"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func server() *v1alpha2.Server {
	return &v1alpha2.Server{
		ObjectMeta: metav1.ObjectMeta{Name: "one", Labels: map[string]string{"rack": "r7"}},
		Spec: v1alpha2.ServerSpec{Hardware: &v1alpha2.HardwareInformation{
			Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 8},
			Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{
				{Name: "eno1", Driver: "igb", Speed: 1000, MaximumSpeed: 1000},
				{Name: "eno2", Driver: "mlx5_core", MaximumSpeed: 25_000, Neighbours: []*v1alpha2.Neighbour{{SystemName: "rack7-sw1", VLAN: 7}}},
			}},
			Storage: &v1alpha2.StorageInformation{Devices: []*v1alpha2.StorageDevice{
				{Type: "NVMe", Size: 1 << 62, DeviceName: "/dev/nvme0n1"}, {Type: "HDD", Size: 4 << 40},
			}},
		}},
	}
}

func TestMatches(t *testing.T) {
	for text, want := range map[string]bool{
		`true`: true,
		`server.spec.hardware.compute.totalCoreCount >= 8`:                                                                                           true,
		`server.spec.hardware.compute.totalCoreCount > 8`:                                                                                            false,
		`server.metadata.labels["rack"].startsWith("r")`:                                                                                             true,
		`server.spec.hardware.storage.devices.exists(d, d.type == "NVMe" && d.size > 1000000000000)`:                                                 true,
		`server.spec.hardware.storage.devices.filter(d, d.type == "HDD").size() == 1`:                                                                true,
		`has(server.spec.hardware.memory)`:                                                                                                           false,
		`!has(server.spec.hardware.memory) || server.spec.hardware.memory.totalSize == "32 GB"`:                                                      true,
		`server.metadata.name.replace("o", "0") == "0ne"`:                                                                                            true,
		`server.spec.hardware.network.interfaces.exists(i, i.driver == "mlx5_core" && i.maximumSpeed >= 25000)`:                                      true,
		`server.spec.hardware.network.interfaces.exists(i, has(i.speed) && i.speed > 1000)`:                                                          false,
		`server.spec.hardware.network.interfaces.exists(i, has(i.neighbours) && i.neighbours.exists(n, n.systemName == "rack7-sw1" && n.vlan == 7))`: true,
		`server.spec.accepted == false`:                                                                                                              true,
	} {
		e, err := expression.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)

			continue
		}

		if got, err := e.Matches(server()); err != nil || got != want {
			t.Errorf("%s: got %t, %v, want %t", text, got, err, want)
		}
	}
}

func TestWrong(t *testing.T) {
	for text, want := range map[string]string{
		`server.spec.`:            "Syntax error",
		`machine.spec.accepted`:   "undeclared reference",
		`1 + 1`:                   "want true or false",
		strings.Repeat("(", 5000): "are allowed",
		strings.Repeat("!", 4000): "",
	} {
		if _, err := expression.Compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: got %v, want %q in it", text, err, want)
		}
	}

	for text, want := range map[string]string{
		`server.spec.hardware.memory.totalSize == "1"`: "no such key",
		`server.metadata.name`:                         "neither true nor false",
		`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d,
			[1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, server.metadata.name == "one"))))))`: "cost limit",
	} {
		e, err := expression.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)

			continue
		}

		if matches, err := e.Matches(server()); matches || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %t, %v, want %q in it", text, matches, err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`server.spec.accepted`)
	f.Add(`server.spec.hardware.storage.devices.exists(d, d.size > 1)`)

	f.Fuzz(func(_ *testing.T, text string) {
		if e, err := expression.Compile(text); err == nil {
			_, _ = e.Matches(server())
		}
	})
}
