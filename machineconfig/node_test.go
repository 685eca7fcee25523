package machineconfig

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
)

var now = time.Date(2026, 11, 27, 1, 0, 0, 0, time.UTC)

// testSecrets are new ones. Those for Talos 1.7 and newer take long to make: they have a key of RSA.
func testSecrets(t *testing.T, version string) *Secrets {
	t.Helper()

	s, err := NewSecrets(version, now)
	if err != nil {
		t.Fatal(err)
	}

	return s
}

func testNode(role, version string) Node {
	return Node{
		Role: role, TalosVersion: version, KubernetesVersion: "v1.31.4", Hostname: "node-7",
		Cluster: Cluster{
			Name: "lab", Host: "fd00::9", Port: 6443, DNSDomain: "lab.internal",
			Pods: []string{"10.1.0.0/16"}, Services: []string{"10.2.0.0/16"},
		},
	}
}

// TestGenerate makes a configuration of every role for every version of Talos, and wants what the cluster says in each.
func TestGenerate(t *testing.T) {
	roles := map[string]machine.Type{
		"init": machine.TypeInit, "controlplane": machine.TypeControlPlane, "worker": machine.TypeWorker, "join": machine.TypeWorker,
	}

	versions := []string{"", "1.13.6", "v1.14.0-alpha.1"}
	for minor := range 14 {
		versions = append(versions, fmt.Sprintf("v1.%d", minor))
	}

	old, newer, newest := testSecrets(t, "v1.2"), testSecrets(t, "v1.5"), testSecrets(t, "")

	for i, version := range versions {
		// Clusters may be older than the Talos of their nodes.
		s := []*Secrets{newest, newer, newer, old}[min(i, 3)]

		for role, kind := range roles {
			made, err := Generate(testNode(role, version), s)
			if err != nil {
				t.Fatalf("%s %s: %v", role, version, err)
			}

			if err := Validate(made); err != nil {
				t.Errorf("%s %s: %v", role, version, err)
			}

			loaded, err := configloader.NewFromBytes(made)
			if err != nil {
				t.Fatal(err)
			}

			got := fmt.Sprintln(loaded.Machine().Type(), loaded.Cluster().Endpoint(), loaded.Cluster().Network().PodCIDRs(),
				loaded.Cluster().Network().ServiceCIDRs(), loaded.Cluster().Network().DNSDomain(), loaded.NetworkHostnameConfig().Hostname(),
				loaded.Machine().Install().Disk())
			if want := fmt.Sprintln(kind, "https://[fd00::9]:6443", []string{"10.1.0.0/16"}, []string{"10.2.0.0/16"}, "lab.internal", "node-7",
				installDisk); got != want {
				t.Errorf("%s %s: %s, want %s", role, version, got, want)
			}

			if !strings.Contains(loaded.Machine().Kubelet().Image(), ":v1.31.4") {
				t.Errorf("%s %s: kubelet %s", role, version, loaded.Machine().Kubelet().Image())
			}

			if holds := strings.Contains(string(made), "etcd:") && FromConfiguration(made) != nil; holds != (kind != machine.TypeWorker) {
				t.Errorf("%s %s: holds the keys of the control plane: %t", role, version, holds)
			}
		}
	}
}

// TestOldest is what Sidero's acceptance suite asks for.
func TestOldest(t *testing.T) {
	node := testNode("controlplane", "v0.9")
	node.KubernetesVersion = "v1.20.4"

	if _, err := Generate(node, testSecrets(t, "v0.9")); err != nil {
		t.Error(err)
	}
}

// TestGenerateRefuses names what is wrong.
func TestGenerateRefuses(t *testing.T) {
	s := testSecrets(t, "v1.5")

	for want, edit := range map[string]func(*Node){
		`"boss" is no role`:                          func(n *Node) { n.Role = "boss" },
		`"none" is no role`:                          func(n *Node) { n.Role = "none" },
		`version of Talos "newest" must be`:          func(n *Node) { n.TalosVersion = "newest" },
		`version of Talos "v0.8" must be`:            func(n *Node) { n.TalosVersion = "v0.8" },
		`version of Kubernetes "latest" must be`:     func(n *Node) { n.KubernetesVersion = "latest" },
		`version of Kubernetes "v1.35" must be like`: func(n *Node) { n.KubernetesVersion = "v1.35" },
	} {
		node := testNode("worker", "v1.13")
		edit(&node)

		if _, err := Generate(node, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
