package node_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/siderolabs/siderolink/api/events"
	"google.golang.org/grpc"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/metadata/events"
)

// sink keeps what the product understands of events.
type sink struct {
	pb.UnimplementedEventSinkServiceServer

	mu       sync.Mutex
	steps    []string
	findings map[events.Aspect]events.Finding
	hostname string
}

func (s *sink) Publish(_ context.Context, request *pb.EventRequest) (*pb.EventResponse, error) {
	event, err := request.GetData().UnmarshalNew()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	effect := events.Decide(event, events.Facts{})
	if effect.Step != "" {
		s.steps = append(s.steps, effect.Step)
	}
	for _, f := range effect.Findings {
		s.findings[f.Aspect] = f
	}
	if effect.Addressing != nil {
		s.hostname = effect.Addressing.Hostname
	}
	return &pb.EventResponse{}, nil
}

// TestInstall has a node install itself, and wants the product to understand what it tells meanwhile.
func TestInstall(t *testing.T) {
	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	must(t, err)
	text, err := machineconfig.Generate(machineconfig.Node{
		Role: "worker", TalosVersion: "v1.13", Hostname: "W0.example.org", Cluster: machineconfig.Cluster{Name: "c", Host: "192.0.2.1", Port: 6443},
	}, secrets)
	must(t, err)
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = append(asked, r.URL.String()); len(asked) == 1 {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(web.Close)

	heard := &sink{findings: map[events.Aspect]events.Finding{}}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer()
	pb.RegisterEventSinkServiceServer(server, heard)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	root := t.TempDir()
	disk := node.Directory{Path: t.TempDir(), Root: root}
	outcome, err := node.Run(t.Context(), node.Config{
		Args:     "initrd=i talos.platform=metal talos.config=" + web.URL + "/c?uuid=&token=t talos.events.sink=" + listener.Addr().String(),
		Identity: node.Identity{UUID: "u"}, Network: node.Network{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}},
		State: disk, Root: root, Release: "v1.13.0", Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	if outcome != node.Reboot {
		t.Errorf("outcome is %s", outcome)
	}
	if want := []string{"/c?token=t&uuid=u", "/c?token=t&uuid=u"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q", asked)
	}
	installed, err := disk.Load()
	must(t, err)
	if installed == nil || string(installed.Configuration) != string(text) || installed.Release != "v1.13.0" || !strings.HasPrefix(installed.Args, "talos.platform=metal") {
		t.Errorf("installed is %+v", installed)
	}
	if want := []string{"configuration could not be loaded: fetch configuration: 404 Not Found", "installs", "installed, restarts"}; !slices.Equal(heard.steps, want) {
		t.Errorf("the product understands %q", heard.steps)
	}
	if !heard.findings[events.Installed].True || heard.hostname != "w0" {
		t.Errorf("it has found %+v, of %q", heard.findings, heard.hostname)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
