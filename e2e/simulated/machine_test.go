package simulated_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// here is this machine's own network, on loopback.
type here struct{}

func (here) Inside(visit func() error) error { return visit() }

// appliance orders what it is told to, and knows nothing.
type appliance struct {
	api.UnimplementedAgentServer
	api.UnimplementedOrdersServer

	mu      sync.Mutex
	order   api.Order
	changed chan struct{}
	scripts int
	script  string // in place of the one that starts the agent
}

func (a *appliance) CreateServer(context.Context, *api.CreateServerRequest) (*api.CreateServerResponse, error) {
	return &api.CreateServerResponse{}, nil
}

func (a *appliance) ReconcileServerAddresses(context.Context, *api.ReconcileServerAddressesRequest) (*api.ReconcileServerAddressesResponse, error) {
	return &api.ReconcileServerAddressesResponse{}, nil
}

func (a *appliance) Wait(ctx context.Context, request *api.WaitRequest) (*api.WaitResponse, error) {
	for {
		a.mu.Lock()
		order, changed := a.order, a.changed
		a.mu.Unlock()

		next := &api.WaitResponse{Order: order, Sequence: uint64(order) + 1, Policy: &api.WipePolicy{Disks: "all", Method: "fast"}}
		if next.GetSequence() != request.GetSequence() {
			return next, nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return next, nil
		}
	}
}

func (a *appliance) Report(_ context.Context, request *api.ReportRequest) (*api.ReportResponse, error) {
	if request.GetResult() != nil {
		a.tell(api.Order_STAY)
	}

	return &api.ReportResponse{}, nil
}

// tell gives an order.
func (a *appliance) tell(order api.Order) {
	a.mu.Lock()
	defer a.mu.Unlock()

	close(a.changed)
	a.order, a.changed = order, make(chan struct{})
}

func (a *appliance) booted() int {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.scripts
}

// boots has machines be given another script.
func (a *appliance) boots(script string) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.script = script
}

// serve returns where machines boot from.
func (a *appliance) serve(t *testing.T) string {
	t.Helper()

	a.changed = make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)

	calls := grpc.NewServer()
	api.RegisterAgentServer(calls, a)
	api.RegisterOrdersServer(calls, a)

	go func() { _ = calls.Serve(listener) }()

	t.Cleanup(calls.Stop)

	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.scripts++
		script := a.script
		a.mu.Unlock()

		if script != "" {
			fmt.Fprint(w, script)

			return
		}

		fmt.Fprintf(w, "#!ipxe\nkernel ${appliance}/env/agent-amd64/vmlinuz sidero.mac=%s sidero.endpoint=%s || goto failed\nboot\n",
			r.URL.Query().Get("mac"), listener.Addr())
	}))
	t.Cleanup(web.Close)

	return web.Listener.Addr().String()
}

// TestMachine takes a machine around, and holds what it writes down to what was done to it.
func TestMachine(t *testing.T) {
	a := &appliance{}

	m, err := simulated.New(simulated.Config{
		Number: 7, Place: here{}, Appliance: a.serve(t), Disk: filepath.Join(t.TempDir(), "disk"), Slow: time.Millisecond,
	})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })

	before, err := m.Digest()
	must(t, err)

	m.Press(true)
	eventually(t, "the agent boots", func() bool { return a.booted() == 1 && m.Powered() })

	if now, err := m.Digest(); err != nil || now != before || m.Running() || len(m.Wipes()) > 0 {
		t.Errorf("nobody has told it to do anything, and it did: %v", err)
	}

	a.tell(api.Order_WIPE)
	eventually(t, "the wipe is known", func() bool { return len(m.Wipes()) > 0 && !m.Wipes()[0].Recorded.IsZero() })

	if wipe := m.Wipes()[0]; !wipe.Complete || wipe.Writes == 0 || wipe.Ended.Before(wipe.Began) {
		t.Errorf("what it has written down of its wipe is %+v", wipe)
	}

	if blank, err := m.Blank(); err != nil || !blank {
		t.Errorf("the disk is not blank after its wipe: %v", err)
	}

	a.tell(api.Order_REBOOT)
	eventually(t, "it is in use", m.Running)

	if blank, err := m.Blank(); err != nil || blank || len(m.Installs()) != 1 {
		t.Errorf("the disk of a machine in use has nothing: %v", err)
	}

	m.Press(false)
	m.Press(true)
	eventually(t, "it boots from its disk", m.Running)

	if a.booted() != 1 || len(m.Wipes()) != 1 || len(m.Commands()) > 0 {
		t.Errorf("it booted %d times from the network, has wipes %v, and was told %v", a.booted(), m.Wipes(), m.Commands())
	}
}

// TestPowerLoss: what has no power writes nothing.
func TestPowerLoss(t *testing.T) {
	a := &appliance{order: api.Order_WIPE}

	m, err := simulated.New(simulated.Config{
		Number: 8, Place: here{}, Appliance: a.serve(t), Disk: filepath.Join(t.TempDir(), "disk"), Slow: time.Hour, NoBMC: true,
	})
	must(t, err)

	before, err := m.Digest()
	must(t, err)

	m.Press(true)
	eventually(t, "the wipe begins", func() bool { return len(m.Wipes()) == 1 })
	must(t, m.Close())

	if wipe := m.Wipes()[0]; wipe.Complete || !wipe.Recorded.IsZero() || wipe.Writes != 0 || wipe.Ended.IsZero() {
		t.Errorf("a wipe without power is %+v", wipe)
	}

	if now, err := m.Digest(); err != nil || now != before {
		t.Errorf("the disk was changed without power: %v", err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()

	limit := time.After(20 * time.Second)

	for tick := time.NewTicker(5 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
