package link_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/siderolabs/siderolink/api/events"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"golang.zx2c4.com/wireguard/tun/netstack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/link"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink/tunnel"
)

// appliance is the product's end of SideroLink, with a sink that fails the first event.
type appliance struct {
	pb.UnimplementedEventSinkServiceServer

	tunnel *tunnel.Tunnel

	mu     sync.Mutex
	peer   siderolink.Peer
	events []string
	failed bool
	came   chan struct{}
}

func (a *appliance) Peer(context.Context, string) (siderolink.Peer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peer, nil
}

func (a *appliance) Keep(_ context.Context, _ string, was, now siderolink.Peer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peer = now
	var before []siderolink.Peer
	if was.Address.IsValid() {
		before = append(before, was)
	}
	return a.tunnel.Change(before, []siderolink.Peer{now})
}

func (a *appliance) Publish(_ context.Context, request *pb.EventRequest) (*pb.EventResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.failed {
		a.failed = true
		return nil, status.Error(codes.Unavailable, "not now")
	}
	event, err := request.GetData().UnmarshalNew()
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if phase, ok := event.(*machine.PhaseEvent); ok && strings.HasPrefix(request.GetData().GetTypeUrl(), "talos/runtime/") {
		a.events = append(a.events, phase.GetPhase())
	}
	a.came <- struct{}{}
	return &pb.EventResponse{}, nil
}

// TestLink has a node join the product's SideroLink twice, as it does at each boot, and tell of itself in it.
func TestLink(t *testing.T) {
	identity, err := siderolink.NewIdentity()
	must(t, err)
	network, server, log := identity.Network(), identity.Address(), slog.New(slog.DiscardHandler)
	inside, stack, err := netstack.CreateNetTUN([]netip.Addr{server}, nil, tunnel.MTU)
	must(t, err)
	port := freePort(t)
	opened, err := tunnel.Open(tunnel.Config{Interface: inside, Key: identity.Key, Port: port, Log: log})
	must(t, err)
	t.Cleanup(opened.Close)

	a := &appliance{tunnel: opened, came: make(chan struct{}, 100)}
	outside, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	service := grpc.NewServer()
	(&siderolink.Provision{
		Identity: func() (siderolink.Identity, error) { return identity, nil },
		Endpoint: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), Peers: a, Log: log,
	}).Register(service)
	serve(t, service, outside)

	sinks, err := stack.ListenTCPAddrPort(netip.AddrPortFrom(server, 4002))
	must(t, err)
	sink := grpc.NewServer()
	pb.RegisterEventSinkServiceServer(sink, a)
	serve(t, sink, sinks)
	lines, err := stack.ListenTCPAddrPort(netip.AddrPortFrom(server, 4001))
	must(t, err)
	t.Cleanup(func() { lines.Close() })

	to := link.Endpoints{
		API: parse(t, "grpc://"+outside.Addr().String()), Events: netip.AddrPortFrom(server, 4002).String(),
		Logs: []*url.URL{parse(t, "tcp://"+netip.AddrPortFrom(server, 4001).String())},
	}
	var address netip.Addr
	for _, phase := range []string{"install", "boot"} {
		l := link.New("u", "v1.13.6", log)
		l.Publish(&machine.PhaseEvent{Phase: phase}) // before there is a tunnel
		slog.New(l.Handler(slog.DiscardHandler)).With("a", 1).Warn("hello", "b", 2)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { l.Run(ctx, to); close(ended) }()

		within(t, a.came)
		connection, err := lines.Accept()
		must(t, err)
		text, err := bufio.NewReader(connection).ReadString('\n')
		must(t, err)
		line := map[string]any{}
		must(t, json.Unmarshal([]byte(text), &line))
		if line["msg"] != "[talos] hello a=1 b=2" || line["talos-level"] != "warn" || line["priority"] != "warning" || line["facility"] != "user" || line["seq"] != 1.0 {
			t.Errorf("%s: line is %s", phase, text)
		}
		if address.IsValid() && l.Address() != address || !network.Contains(l.Address()) {
			t.Errorf("%s: address is %s, was %s", phase, l.Address(), address)
		}
		address = l.Address()

		l.Publish(&machine.PhaseEvent{Phase: phase + " ends"})
		flushing, stop := context.WithTimeout(t.Context(), 20*time.Second)
		l.Flush(flushing)
		if flushing.Err() != nil {
			t.Errorf("%s: events are left", phase)
		}
		stop()
		connection.Close()
		cancel()
		within(t, ended)
	}
	if want := []string{"install", "install ends", "boot", "boot ends"}; !slices.Equal(a.events, want) {
		t.Errorf("events are %q instead of %q", a.events, want)
	}
}

func within(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
	}
}

func serve(t *testing.T, server *grpc.Server, listener net.Listener) {
	t.Helper()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	must(t, err)
	return parsed
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	must(t, err)
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String()).Port()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
