package providers_test

import (
	"os"
	"regexp"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/providers"
)

// TestClusterAPI: the version that clusterctl is told must be the one that is served.
func TestClusterAPI(t *testing.T) {
	text, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}

	found := regexp.MustCompile(`(?m)^\s*sigs\.k8s\.io/cluster-api (\S+)`).FindSubmatch(text)
	if found == nil || string(found[1]) != providers.ClusterAPI {
		t.Errorf("go.mod asks for Cluster API %s, clusterctl is told %s", found, providers.ClusterAPI)
	}
}

func TestAll(t *testing.T) {
	names := map[string]bool{}

	for _, p := range providers.All() {
		if _, err := version.ParseSemantic(p.Version); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}

		if p.GetProviderType() == "" || p.ManifestLabel() != p.Name || p.Namespace == "" || names[p.Name] {
			t.Errorf("%+v", p)
		}

		names[p.Name] = true
	}

	for _, want := range []string{"cluster-api", "bootstrap-talos", "control-plane-talos", "infrastructure-sidero"} {
		if !names[want] {
			t.Errorf("%s is missing", want)
		}
	}
}
