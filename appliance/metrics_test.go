package appliance

import (
	"testing"

	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
)

func TestRegistrationMetrics(t *testing.T) {
	requests, err := newRegistrationMetrics()
	if err != nil {
		t.Fatal(err)
	}
	requests.observe("CreateServer", "OK")
	requests.observe("CreateServer", "OK")
	count, err := testutil.GetCounterValuesFromGatherer(legacyregistry.DefaultGatherer, "sidero_registration_requests_total",
		map[string]string{"code": "OK"}, "method")
	if err != nil {
		t.Fatal(err)
	}
	if count["CreateServer"] != 2 {
		t.Errorf("/metrics has %v, want 2 calls of CreateServer", count)
	}
}
