package infrastructure_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// TestFailureDomains has a failure domain come and go with the label of a server.
func TestFailureDomains(t *testing.T) {
	a := start(t)
	a.begin()
	a.provisioned()

	c := a.metalCluster()
	s := a.server("s")

	for _, want := range []string{"rack-1", ""} {
		before := s.DeepCopy()
		s.Labels = map[string]string{allocation.FailureDomainLabel: want}
		clustertest.Must(t, a.Patch(t.Context(), s, client.MergeFrom(before)))
		clustertest.Until(a.API, c, "it has the failure domain "+want, func(c *v1alpha3.MetalCluster) bool {
			all := c.Status.FailureDomains

			return c.Status.Ready && (want == "" && len(all) == 0 || len(all) == 1 && all[0].Name == want)
		})
	}

	for _, line := range a.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}
