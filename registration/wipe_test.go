package registration

import (
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
)

// TestPlanOwnsItsPolicy: the policy that a plan follows is the cache's, which others read meanwhile.
func TestPlanOwnsItsPolicy(t *testing.T) {
	cached := v1alpha2.WipePolicy{Keep: []v1alpha2.DiskSelector{{Serial: "K"}}}
	status := &v1alpha2.ServerStatus{}
	recordPlan(status, v1alpha2.WipeStatus{}, occasion{time.Now(), wipepolicy.Decision{Policy: cached}})

	if status.Wipe.Policy.Keep[0].Serial = "changed"; cached.Keep[0].Serial != "K" {
		t.Error("a Server's status changes the cached policy")
	}
}
