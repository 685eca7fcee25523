package clusterctl_test

import (
	"bufio"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/providers"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

// tool is an appliance and the real clusterctl, with a repository that the appliance wrote.
type tool struct {
	appliance
	apitest.Clusterctl
}

// TestClusterctl does what people do with clusterctl, without the internet.
func TestClusterctl(t *testing.T) {
	a := start(t, t.TempDir(), "v1.0.0")
	a.clusterAPI(t)

	dir := t.TempDir()
	must(t, repository.Write(dir))

	c := a.Clusterctl(t)
	c.Config = filepath.Join(dir, repository.Config)

	for name, test := range map[string]func(*testing.T, tool){
		"is the one that fits":          testVersion,
		"generate cluster":              testGenerate,
		"the template is accepted":      testTemplate,
		"init does nothing":             testInit,
		"init elsewhere is refused":     testInitElsewhere,
		"upgrade finds nothing newer":   testUpgradePlan,
		"upgrade to another is refused": testUpgradeRefused,
		"delete is refused":             testDeleteRefused,
		"describe cluster":              testDescribe,
		"get kubeconfig":                testGetKubeconfig,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, tool{a, c})
			checkEntries(t, a.inventory(t), "v1.0.0")
		})
	}
}

func testVersion(t *testing.T, c tool) {
	if out := c.Do(t, "version", "-o", "short"); strings.TrimSpace(out) != providers.ClusterAPI {
		t.Errorf("clusterctl is %s, the appliance serves %s", out, providers.ClusterAPI)
	}
}

func testGenerate(t *testing.T, c tool) {
	const endpoint = "CONTROL_PLANE_ENDPOINT=10.9.0.100"

	for _, test := range []struct {
		args        string
		environment []string
		says        []string
		fails       bool
	}{
		{"generate cluster c1 -i sidero", []string{endpoint}, []string{
			"\n    host: 10.9.0.100\n    port: 6443\n", "\n  version: " + repository.KubernetesVersion + "\n", "talosVersion: " + repository.TalosVersion + "\n",
			"kind: ServerClass\n        name: any\n", "\n  name: c1-cp\n  namespace: default\n", "\n  replicas: 1\n", "\n  replicas: 0\n",
		}, false},
		{"generate cluster c2 --kubernetes-version v1.30.1 --control-plane-machine-count 3 --worker-machine-count 5 -n west", []string{
			endpoint, "CONTROL_PLANE_PORT=8443", "CONTROL_PLANE_SERVERCLASS=big", "WORKER_SERVERCLASS=small", "TALOS_VERSION=v1.12",
		}, []string{
			"\n    port: 8443\n", "\n  version: v1.30.1\n", "talosVersion: v1.12\n", "name: big\n", "name: small\n",
			"\n  name: c2\n  namespace: west\n", "\n  replicas: 3\n", "\n  replicas: 5\n",
		}, false},
		{"generate cluster c1", nil, []string{"value for variables [CONTROL_PLANE_ENDPOINT] is not set"}, true},
		{"generate cluster c1 --list-variables", nil, []string{"- CONTROL_PLANE_ENDPOINT", "- WORKER_SERVERCLASS"}, false},
		{"generate cluster c1 -i sidero:v0.6.12", nil, []string{"v0.6.12"}, true},
		{"generate provider -i sidero --describe", nil, []string{"sidero-system", "v0.6.13"}, false},
	} {
		run := c.Clusterctl
		run.Environment = test.environment

		out, err := run.Try(t, strings.Fields(test.args)...)
		if (err != nil) != test.fails {
			t.Errorf("clusterctl %s: %v\n%s", test.args, err, out)
		}

		for _, want := range test.says {
			if !strings.Contains(out, want) {
				t.Errorf("clusterctl %s lacks %q:\n%s", test.args, want, out)
			}
		}
	}
}

// testInit runs it as Sidero's documentation says, and again, as people do.
func testInit(t *testing.T, c tool) {
	definitions := c.kubectl.Do(t, "get", "crd", "-o", "name")

	for _, args := range []string{"init", "init -b talos -c talos -i sidero"} {
		if out := c.Do(t, strings.Fields(args)...); strings.Contains(out, "Installing") {
			t.Errorf("clusterctl %s: %s", args, out)
		}

		eventually(t, "the namespace that clusterctl tries cert-manager in goes", func() bool {
			return !strings.Contains(c.kubectl.Do(t, "get", "namespaces"), "cert-manager-test")
		})
	}

	if after := c.kubectl.Do(t, "get", "crd", "-o", "name"); after != definitions {
		t.Errorf("definitions were\n%s\nare\n%s", definitions, after)
	}
}

func testInitElsewhere(t *testing.T, c tool) {
	out, err := c.Try(t, "init", "-i", "sidero", "--target-namespace", "elsewhere")
	if err == nil || !strings.Contains(out, `there is already an instance of the "infrastructure-sidero" provider installed in the "sidero-system" namespace`) {
		t.Errorf("%v: %s", err, out)
	}
}

func testUpgradePlan(t *testing.T, c tool) {
	out := c.Do(t, "upgrade", "plan")
	if strings.Count(out, "Already up to date") != len(providers.All()) || !strings.Contains(out, "You are already up to date!") {
		t.Errorf("upgrade plan: %s", out)
	}

	c.Do(t, "upgrade", "apply", "--contract", providers.Contract)
}

func testUpgradeRefused(t *testing.T, c tool) {
	for _, args := range []string{
		"upgrade apply --infrastructure sidero:v0.6.14",
		"upgrade apply --bootstrap talos:v0.6.13 --control-plane talos:v0.5.14",
		"upgrade apply --core cluster-api:v1.14.3",
	} {
		out, err := c.Try(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(out, "the appliance runs no Deployments. ") || !strings.Contains(out, reason) {
			t.Errorf("clusterctl %s: %v %s", args, err, out)
		}
	}
}

// testDeleteRefused reads the reason from what clusterctl says between its attempts, of which there are many.
func testDeleteRefused(t *testing.T, c tool) {
	c.kubectl.Do(t, "delete", "clusters,metalclusters", "--all") // it would not try to delete the kinds of objects that there are

	for args, says := range map[string]string{
		"delete -i sidero -v 5":                                  reason,
		"delete -b talos -c talos -v 5":                          reason,
		"delete --core cluster-api -v 5":                         reason,
		"delete --all --include-namespace -v 5":                  reason,
		"delete -b talos --include-crd --include-namespace -v 5": "it describes a kind that is built into the appliance",
		"delete --core cluster-api --include-crd -v 5":           reason,
	} {
		if !c.says(t, says, strings.Fields(args)...) {
			t.Errorf("clusterctl %s does not say that it may not", args)
		}
	}
}

// says runs a command until it has written a text, or ends.
func (c tool) says(t *testing.T, text string, args ...string) bool {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), happensWithin)
	defer cancel()

	command := c.Command(ctx, args...)
	out, err := command.StderrPipe()
	must(t, err)
	must(t, command.Start())

	defer command.Wait()
	defer cancel()

	var all []string

	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		all = append(all, scanner.Text())
		if strings.Contains(scanner.Text(), text) {
			return true
		}
	}

	t.Log(strings.Join(all, "\n"))

	return false
}
