package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/siderolabs/go-smbios/smbios"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/step"
)

const uuid = "00112233-4455-6677-8899-aabbccddeeff"

// appliance answers as told and keeps what it was asked.
type appliance struct {
	api.UnimplementedAgentServer

	mu      sync.Mutex
	answers []error // of the next calls; nil once they are used up
	reply   *api.CreateServerResponse

	// orders and facts are the other services, nil for a server that has none.
	orders api.OrdersServer
	facts  api.FactsServer

	created   chan *api.CreateServerRequest
	addressed chan *api.ReconcileServerAddressesRequest
	accounts  chan *api.BMCInfo
}

func (a *appliance) next() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.answers) == 0 {
		return nil
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return answer
}

func (a *appliance) CreateServer(_ context.Context, request *api.CreateServerRequest) (*api.CreateServerResponse, error) {
	if err := a.next(); err != nil {
		return nil, err
	}
	a.created <- request
	return a.reply, nil
}

func (a *appliance) ReconcileServerAddresses(_ context.Context, request *api.ReconcileServerAddressesRequest) (*api.ReconcileServerAddressesResponse, error) {
	a.addressed <- request
	return &api.ReconcileServerAddressesResponse{}, nil
}

func (a *appliance) UpdateBMCInfo(_ context.Context, request *api.UpdateBMCInfoRequest) (*api.UpdateBMCInfoResponse, error) {
	if err := a.next(); err != nil {
		return nil, err
	}
	a.accounts <- request.GetBmcInfo()
	return &api.UpdateBMCInfoResponse{}, nil
}

// serve returns the endpoint.
func (a *appliance) serve(t *testing.T, address string) string {
	t.Helper()
	if a.reply == nil {
		a.reply = &api.CreateServerResponse{}
	}
	a.created = make(chan *api.CreateServerRequest, 64)
	a.addressed = make(chan *api.ReconcileServerAddressesRequest, 64)
	a.accounts = make(chan *api.BMCInfo, 64)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterAgentServer(server, a)
	if a.orders != nil {
		api.RegisterOrdersServer(server, a.orders)
	}
	if a.facts != nil {
		api.RegisterFactsServer(server, a.facts)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// fakeNetwork fails as often as told.
type fakeNetwork struct {
	mu       sync.Mutex
	failures []error
	lost     chan error
	ups      int
}

func (n *fakeNetwork) Up(_ context.Context, mac net.HardwareAddr) (network.Link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ups++
	if len(n.failures) > 0 {
		err := n.failures[0]
		n.failures = n.failures[1:]
		return network.Link{}, err
	}
	return network.Link{Interface: "eth0", MAC: mac, Settings: network.Settings{Address: netip.MustParsePrefix("172.30.0.50/24")}}, nil
}

func (n *fakeNetwork) Keep(ctx context.Context) error {
	select {
	case err := <-n.lost:
		return err
	case <-ctx.Done():
		return nil
	}
}

type screens chan console.Screen

func (s screens) Show(screen console.Screen) { s <- screen }

// await waits for a screen with a text in its title, cause or advice.
func (s screens) await(t *testing.T, text string) console.Screen {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case screen := <-s:
			all := screen.Title + strings.Join(screen.Advice, "\n")
			for _, row := range screen.Rows {
				all += row.Value + "\n"
			}
			if strings.Contains(all, text) {
				return screen
			}
		case <-deadline:
			t.Fatalf("no screen with %q", text)
		}
	}
}

func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// machine that works, for tests to break.
func machine(endpoint string) Machine {
	return Machine{
		CommandLine: "console=ttyS0 sidero.mac=52:54:00:00:00:01 sidero.endpoint=" + endpoint,
		Sys:         fstest.MapFS{"block/sda/size": {Data: []byte("2097152\n")}},
		Drivers:     func(context.Context) error { return nil },
		Randomness:  func(context.Context) error { return nil },
		SMBIOS: func() (*smbios.SMBIOS, error) {
			return &smbios.SMBIOS{SystemInformation: smbios.SystemInformation{UUID: uuid, Manufacturer: "Maker", ProductName: "Box", SerialNumber: "S1"}}, nil
		},
		Interfaces: func() ([]inventory.Interface, error) {
			return []inventory.Interface{{
				Interface: net.Interface{Index: 2, Name: "eth0", HardwareAddr: net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}},
				Addresses: []string{"172.30.0.50/24", "fe80::1/64"},
			}}, nil
		},
		Hostname: func() (string, error) { return "box", nil },
		Network:  &fakeNetwork{lost: make(chan error)},
	}
}

// start runs an agent until the test ends.
func start(t *testing.T, machine Machine) screens {
	t.Helper()
	return startLogging(t, machine, slog.New(slog.DiscardHandler))
}

func startLogging(t *testing.T, machine Machine, logger *slog.Logger) screens {
	t.Helper()
	pace := Pace{Restart: time.Millisecond, FirstRetry: time.Millisecond, LastRetry: 10 * time.Millisecond, Refresh: 10 * time.Millisecond}
	return startPaced(t, machine, logger, pace)
}

func startPaced(t *testing.T, machine Machine, logger *slog.Logger, pace Pace) screens {
	t.Helper()
	shown := make(screens, 4096)
	agent := Agent{Machine: machine, Display: shown, Logger: logger, Pace: pace}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); agent.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("the agent does not stop")
		}
	})
	return shown
}

func TestRegisterAndWait(t *testing.T) {
	a := &appliance{}
	var log journal
	shown := startLogging(t, machine(a.serve(t, "127.0.0.1:0")), slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 { // again and again while it waits
		request := await(t, "registration", a.created)
		if request.GetHardware().GetSystem().GetUuid() != uuid || request.GetHostname() != "box" || request.GetHardware().GetStorage().GetDeviceCount() != 1 {
			t.Errorf("request is %v", request)
		}
		addresses := await(t, "addresses", a.addressed)
		if addresses.GetUuid() != uuid || len(addresses.GetAddress()) != 1 || addresses.GetAddress()[0].GetAddress() != "172.30.0.50" || addresses.GetAddress()[0].GetType() != "InternalIP" {
			t.Errorf("addresses are %v", addresses)
		}
	}
	for range 3 { // the screen comes back, the log stays quiet
		screen := shown.await(t, "This machine is registered.")
		if advice := strings.Join(screen.Advice, "\n"); !strings.Contains(advice, "kubectl patch server "+uuid+" --type merge \\\n    -p '{\"spec\":{\"accepted\":true}}'") {
			t.Errorf("advice is %s", advice)
		}
	}
	if said := log.count("msg=registered"); said != 1 {
		t.Errorf("the log says %d times that it is registered", said)
	}
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

func TestScreenFitsTheConsole(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		screen := registeredScreen(facts{hardware: &api.HardwareInformation{System: &api.SystemInformation{Uuid: uuid}}, accepted: accepted})
		for _, line := range screen.Advice {
			// Wider lines are broken at spaces, which would spoil a command.
			if strings.HasPrefix(line, "  ") && len(line) > 77 {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
	}
}

func TestAcceptedServerIsLeftAlone(t *testing.T) {
	for name, reply := range map[string]*api.CreateServerResponse{
		"told to wipe":   {Wipe: true, InsecureWipe: true, RebootTimeout: 1200},
		"told to do BMC": {SetupBmc: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := &appliance{reply: reply}
			shown := start(t, machine(a.serve(t, "127.0.0.1:0")))
			screen := shown.await(t, "accepted.")
			if !strings.Contains(strings.Join(screen.Advice, " "), "disks are left as they are") {
				t.Errorf("screen is %+v", screen)
			}
			await(t, "registration", a.created)
			await(t, "a second registration", a.created)
		})
	}
}

func TestRegisterRetries(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		shows  string
	}{
		"starting":     {status.Error(codes.Unavailable, "etcd is starting"), "that the appliance runs"},
		"refused":      {status.Error(codes.InvalidArgument, "the UUID is all zeros"), "refused what this machine says"},
		"no appliance": {status.Error(codes.Unimplemented, "unknown service"), "it is no appliance"},
		"its defect":   {status.Error(codes.Internal, "oops"), "the appliance's log"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &appliance{answers: []error{test.answer, test.answer, test.answer}}
			var log journal
			shown := startLogging(t, machine(a.serve(t, "127.0.0.1:0")), slog.New(slog.NewTextHandler(&log, nil)))
			screen := shown.await(t, test.shows)
			if !strings.Contains(screen.Title, "NOT registered") {
				t.Errorf("title is %q", screen.Title)
			}
			shown.await(t, "is registered.")
			if said := log.count("not registered"); said != 1 {
				t.Errorf("the log tells the same failure %d times", said)
			}
		})
	}
}

// TestApplianceComesLater has nothing at the endpoint at first, as after a power
// failure of the whole room.
func TestApplianceComesLater(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := listener.Addr().String()
	listener.Close()
	shown := start(t, machine(endpoint))
	shown.await(t, "connection refused")
	a := &appliance{}
	a.serve(t, endpoint)
	shown.await(t, "is registered.")
}

func TestFailedStepsAreShownAndTriedAgain(t *testing.T) {
	boom := errors.New("boom")
	once := func() func() error {
		var mu sync.Mutex
		failed := false
		return func() error {
			mu.Lock()
			defer mu.Unlock()
			if failed {
				return nil
			}
			failed = true
			return boom
		}
	}
	for name, test := range map[string]struct {
		spoil func(*Machine)
		shows string
	}{
		"network": {func(m *Machine) {
			m.Network = &fakeNetwork{failures: []error{step.Failed("get an address by DHCP", boom, "the DHCP server")}}
		}, "Check the DHCP server."},
		"drivers": {func(m *Machine) {
			fail := once()
			m.Drivers = func(context.Context) error { return fail() }
		}, "load drivers"},
		"SMBIOS": {func(m *Machine) {
			fail, good := once(), m.SMBIOS
			m.SMBIOS = func() (*smbios.SMBIOS, error) {
				if err := fail(); err != nil {
					return nil, err
				}
				return good()
			}
		}, "describe the machine"},
		"a panic": {func(m *Machine) {
			fail, good := once(), m.SMBIOS
			m.SMBIOS = func() (*smbios.SMBIOS, error) {
				if fail() != nil {
					panic("index out of range")
				}
				return good()
			}
		}, "panic: index out of range"},
		"a panic beside the main line": {func(m *Machine) {
			fail := once()
			m.Drivers = func(context.Context) error {
				if fail() != nil {
					panic("in a driver")
				}
				return nil
			}
		}, "panic: in a driver"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &appliance{}
			m := machine(a.serve(t, "127.0.0.1:0"))
			test.spoil(&m)
			shown := start(t, m)
			shown.await(t, test.shows)
			shown.await(t, "is registered.")
		})
	}
}

func TestKernelArgumentsMissing(t *testing.T) {
	m := machine("h:1")
	m.CommandLine = "quiet"
	screen := start(t, m).await(t, "sidero.endpoint is missing")
	if !strings.Contains(screen.Advice[0], "boot server's script") {
		t.Errorf("advice is %v", screen.Advice)
	}
}

func TestLostLeaseStartsAgain(t *testing.T) {
	a := &appliance{}
	m := machine(a.serve(t, "127.0.0.1:0"))
	net := &fakeNetwork{lost: make(chan error)}
	m.Network = net
	shown := start(t, m)
	shown.await(t, "is registered.")
	net.lost <- step.Failed("keep the address of eth0", errors.New("refused"), "the DHCP server")
	shown.await(t, "keep the address of eth0")
	shown.await(t, "is registered.")
	if net.ups != 2 {
		t.Errorf("the network came up %d times", net.ups)
	}
}

// TestScreenComesBackAfterAWhile holds a failure that repeats within seconds to the
// pace of the refreshes.
func TestScreenComesBackAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := make(screens, 8)
		r := registrar{agent: &Agent{Display: shown, Pace: Pace{Refresh: time.Minute}}}
		for _, step := range []struct {
			after time.Duration
			title string
			count int
		}{{0, "a", 1}, {time.Second, "a", 1}, {59 * time.Second, "a", 2}, {59 * time.Second, "a", 2}, {0, "b", 3}, {0, "a", 4}} {
			time.Sleep(step.after)
			r.display(console.Screen{Title: step.title})
			if len(shown) != step.count {
				t.Errorf("%d screens after %s, want %d", len(shown), step.after, step.count)
			}
		}
	})
}
