package clusterctl_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl"
)

// TestRefuseUpgrades: only clusterctl is answered, and only what has to do with Deployments.
func TestRefuseUpgrades(t *testing.T) {
	const (
		aggregated = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json"
		plain      = "application/json"
	)

	for _, c := range []struct {
		agent, path string
		// accept is what the next handler sees, nothing if it is not asked.
		accept string
	}{
		{"clusterctl/v1.14.2 (linux/amd64)", "/apis/apps/v1", ""},
		{"clusterctl/v1.14.2 (linux/amd64)", "/apis", plain},
		{"clusterctl/v1.14.2 (linux/amd64)", "/api", plain},
		{"clusterctl/v1.14.2 (linux/amd64)", "/apis/cluster.x-k8s.io/v1beta2", aggregated},
		{"clusterctl/v1.14.2 (linux/amd64)", "/apis/apps/v1/deployments", aggregated},
		{"kubectl/v1.36.3 (linux/amd64) kubernetes/abc", "/apis/apps/v1", aggregated},
		{"kubectl/v1.36.3 (linux/amd64) kubernetes/abc", "/apis", aggregated},
		{"my-clusterctl/v1", "/apis/apps/v1", aggregated},
		{"", "/apis", aggregated},
	} {
		asked := ""
		handler := clusterctl.RefuseUpgrades(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.Header.Get("Accept") }))

		request := httptest.NewRequest(http.MethodGet, c.path, nil)
		request.Header.Set("User-Agent", c.agent)
		request.Header.Set("Accept", aggregated)

		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)

		if asked != c.accept {
			t.Errorf("%s by %s: the next handler sees %q, want %q", c.path, c.agent, asked, c.accept)
		}

		if refused := answer.Code == http.StatusForbidden && strings.Contains(answer.Body.String(), reason); refused != (c.accept == "") {
			t.Errorf("%s by %s: %d %s", c.path, c.agent, answer.Code, answer.Body)
		}

		if request.Header.Get("Accept") != aggregated {
			t.Errorf("%s by %s: the request was changed", c.path, c.agent)
		}
	}
}
