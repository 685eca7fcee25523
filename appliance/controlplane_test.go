package appliance

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
)

// TestReadinessOfTheAPIDoesNotAskTheAPI: the API server's answer would again ask this.
func TestReadinessOfTheAPIDoesNotAskTheAPI(t *testing.T) {
	sick := errors.New("port is closed")
	var answer []supervisor.Check
	s := site{Checks: func(_ context.Context, except ...string) []supervisor.Check {
		if !slices.Equal(except, []string{"apiserver"}) {
			t.Errorf("asked all but %q, want all but the API server", except)
		}
		return answer
	}}
	check := restReady(s)
	request := httptest.NewRequest("GET", "/readyz", nil)
	answer = []supervisor.Check{{Name: "etcd"}, {Name: "dhcp"}}
	if err := check.Check(request); err != nil {
		t.Errorf("all serve: %v", err)
	}
	answer[1].Err = sick
	if err := check.Check(request); !errors.Is(err, sick) || err.Error() != "dhcp: port is closed" {
		t.Errorf("dhcp does not serve: %v", err)
	}
}
