package agent

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
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

// TestNews has a link come up while the machine waits for orders.
func TestNews(t *testing.T) {
	server := &curious{told: make(chan *api.TellRequest, 64)}
	server.calls.Add(1) // it refuses nothing
	a := &appliance{facts: server, orders: newDispatcher(stay(api.Reason_NOT_ACCEPTED))}
	m := machine(a.serve(t, "127.0.0.1:0"))
	m.Disks = func(context.Context) ([]disk.Disk, error) {
		return []disk.Disk{{Name: "sda", Path: "/dev/sda", Size: 1000}}, nil
	}
	var isUp atomic.Bool
	interfaces := m.Interfaces
	m.Interfaces = func() ([]inventory.Interface, error) {
		list, err := interfaces()
		if list[0].Link = "down"; isUp.Load() {
			list[0].Link = "up"
		}
		return list, err
	}
	startPaced(t, m, slog.New(slog.DiscardHandler), Pace{FirstRetry: time.Millisecond, LastRetry: time.Millisecond, Refresh: time.Hour})
	for _, want := range []string{"down", "up"} {
		if got := await(t, "facts", server.told).GetAdapters()[0].GetLink(); got != want {
			t.Errorf("the link is %s, want %s", got, want)
		}
		isUp.Store(true)
	}
	// What is no news is not told.
	dispatcher := a.orders.(*dispatcher)
	for range 2 {
		dispatcher.tell(stay(api.Reason_PAUSED))
		dispatcher.awaitPlan(t)
	}
	if len(server.told) > 0 {
		t.Errorf("told again: %v", <-server.told)
	}
}
