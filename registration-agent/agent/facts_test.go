package agent

import (
	"context"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// curious asks for more facts, and refuses the first.
type curious struct {
	api.UnimplementedFactsServer
	told  chan *api.TellRequest
	calls atomic.Int32
}

func (c *curious) Tell(_ context.Context, request *api.TellRequest) (*api.TellResponse, error) {
	c.told <- request
	if c.calls.Add(1) == 1 {
		return nil, status.Error(codes.Unavailable, "not now")
	}
	return &api.TellResponse{}, nil
}

// TestMoreFacts are told after each registration, of the same picture of the machine. That
// they are refused keeps the machine from nothing.
func TestMoreFacts(t *testing.T) {
	server := &curious{told: make(chan *api.TellRequest, 64)}
	a := &appliance{facts: server}
	start(t, machine(a.serve(t, "127.0.0.1:0")))
	for range 2 {
		created := await(t, "registration", a.created)
		told := await(t, "facts", server.told)
		if got := told.GetRegistration(); got.GetHardware().GetSystem().GetUuid() != uuid || got.GetHostname() != created.GetHostname() {
			t.Errorf("registered as %v, and then told %v", created, got)
		}
		if len(told.GetAdapters()) != 1 || told.GetAdapters()[0].GetName() != "eth0" || len(told.GetDisks()) != 1 || told.GetArchitecture() == "" {
			t.Errorf("told %v", told)
		}
	}
}
