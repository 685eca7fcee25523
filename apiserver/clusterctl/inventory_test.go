package clusterctl_test

import (
	"maps"
	"strings"
	"testing"

	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl"
)

// TestInventory starts four times on the same data: the first time, again, after somebody changed things, and as a newer
// release that takes the place of newer providers.
func TestInventory(t *testing.T) {
	dir := t.TempDir()

	var before map[string]clusterctlv1.Provider

	t.Run("first start", func(t *testing.T) {
		a := start(t, dir, "v1.0.0")
		before = a.inventory(t)
		checkEntries(t, before, "v1.0.0")
		checkTables(t, a)
	})

	t.Run("again", func(t *testing.T) {
		a := start(t, dir, "v1.0.0")
		if after := a.inventory(t); !maps.EqualFunc(after, before, sameObject) {
			t.Errorf("something was written again:\n%+v\n%+v", before, after)
		}

		a.kubectl.Do(t, "label", "provider", "-n", "sidero-system", "infrastructure-sidero", "clusterctl.cluster.x-k8s.io/core-", "mine=yes")
		a.kubectl.Do(t, "annotate", "provider", "-n", "capi-system", "cluster-api", clusterctl.VersionAnnotation+"-")
		a.kubectl.Do(t, "patch", "crd", "providers.clusterctl.cluster.x-k8s.io", "--type=json", "-p",
			`[{"op":"remove","path":"/spec/versions/0/additionalPrinterColumns"}]`)
		a.kubectl.Do(t, "patch", "crd", "certificates.cert-manager.io", "--type=json", "-p",
			`[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"}]`)
	})

	t.Run("after changes", func(t *testing.T) {
		a := start(t, dir, "v1.0.0")
		checkEntries(t, a.inventory(t), "v1.0.0")
		checkTables(t, a)

		if got := a.inventory(t)["sidero-system/infrastructure-sidero"].Labels["mine"]; got != "yes" {
			t.Errorf("somebody's label is %q", got)
		}

		// somebody's cert-manager stays
		if out := a.kubectl.Do(t, "get", "crd", "certificates.cert-manager.io", "-o", "yaml"); strings.Contains(out, "x-kubernetes-validations") {
			t.Error("the definition of somebody's kind was changed")
		}

		old := a.inventory(t)["sidero-system/infrastructure-sidero"]
		change := old.DeepCopy()
		change.Version = "v0.6.1" // as a release that knows an older one has it
		must(t, a.owner.Patch(t.Context(), change, client.MergeFrom(&old)))
	})

	t.Run("newer release", func(t *testing.T) {
		a := start(t, dir, "v2.0.0")
		checkEntries(t, a.inventory(t), "v2.0.0")
	})
}

func checkEntries(t *testing.T, got map[string]clusterctlv1.Provider, version string) {
	t.Helper()

	want := map[string][3]string{
		"capi-system/cluster-api":             {"CoreProvider", "cluster-api", "v1.14.2"},
		"cabpt-system/bootstrap-talos":        {"BootstrapProvider", "talos", "v0.6.12"},
		"cacppt-system/control-plane-talos":   {"ControlPlaneProvider", "talos", "v0.5.13"},
		"sidero-system/infrastructure-sidero": {"InfrastructureProvider", "sidero", "v0.6.13"},
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}

	for name, w := range want {
		entry := got[name]
		if entry.Type != w[0] || entry.ProviderName != w[1] || entry.Version != w[2] || entry.WatchedNamespace != "" { //nolint:staticcheck // deprecated, but clusterctl still goes by it
			t.Errorf("%s is %+v", name, entry)
		}

		labels := map[string]string{
			"clusterctl.cluster.x-k8s.io": "", "clusterctl.cluster.x-k8s.io/core": "inventory", "cluster.x-k8s.io/provider": entry.Name,
		}
		for key, value := range labels {
			if found, ok := entry.Labels[key]; !ok || found != value {
				t.Errorf("%s has the labels %v", name, entry.Labels)
			}
		}

		if entry.Annotations[clusterctl.VersionAnnotation] != version {
			t.Errorf("%s has the annotations %v", name, entry.Annotations)
		}
	}
}

// checkTables: the inventory is read by people, too.
func checkTables(t *testing.T, a appliance) {
	t.Helper()

	got := strings.Join(strings.Fields(a.kubectl.Do(t, "get", "providers", "-A", "--no-headers", "-o", "wide")), " ")
	for _, want := range []string{"sidero-system infrastructure-sidero ", " InfrastructureProvider sidero v0.6.13"} {
		if !strings.Contains(got, want) {
			t.Errorf("kubectl get providers: %s", got)
		}
	}
}

func sameObject(a, b clusterctlv1.Provider) bool {
	return a.UID == b.UID && a.ResourceVersion == b.ResourceVersion
}
