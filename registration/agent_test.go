package registration_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/siderolabs/go-smbios/smbios"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// deeds are what an agent did to its machine.
type deeds struct {
	wiped    chan wipe.Plan
	mayEnd   chan error
	stopped  chan struct{}
	restarts chan struct{}
}

// idle is the agent's network, which is there already.
type idle struct{}

func (idle) Up(_ context.Context, mac net.HardwareAddr) (network.Link, error) {
	return network.Link{Interface: "lo", MAC: mac, Settings: network.Settings{Address: netip.MustParsePrefix("127.0.0.1/8")}}, nil
}

func (idle) Keep(ctx context.Context) error {
	<-ctx.Done()

	return nil
}

// blank is a display that nobody looks at.
type blank struct{}

func (blank) Show(console.Screen) {}

// TestAgent has the agent and the service meet over the wire: accepted, wiped with a failure in between, stopped, allocated.
func TestAgent(t *testing.T) {
	plane := startPlane(t)
	b := newBench(t, plane, registration.Policy{InsecureWipe: true})
	did := work(t, serve(t, b, plane))

	await(t, b, "a plan before acceptance", func(s *v1alpha2.Server) bool {
		return s.Status.Wipe != nil && len(s.Status.Wipe.Disks) == 2 && s.Status.Wipe.Disks[0].Action == "wipe" && !s.Spec.Accepted
	})

	b.patch(t, `{"spec":{"wipe":{"keep":[{"serial":"K"}]}}}`)
	await(t, b, "a new plan", func(s *v1alpha2.Server) bool { return s.Status.Wipe.Disks[1].Action == "keep" })

	if len(did.wiped) > 0 {
		t.Fatal("a server that is not accepted was wiped")
	}

	b.patch(t, `{"spec":{"accepted":true}}`)
	<-did.wiped
	await(t, b, "the beginning", func(s *v1alpha2.Server) bool { return s.Status.Wipe.StartedAt != nil && len(s.Status.Conditions) == 1 })

	b.patch(t, `{"spec":{"accepted":false}}`)
	<-did.stopped
	b.patch(t, `{"spec":{"accepted":true}}`)
	<-did.wiped
	did.mayEnd <- errors.New("the disk failed")
	await(t, b, "the failure", func(s *v1alpha2.Server) bool {
		return s.Status.Wipe.Disks[0].Error == "the disk failed" && !s.Status.IsClean
	})

	if plan := <-did.wiped; plan.Disks[0].Method != wipe.Fast || plan.Disks[1].Action != wipe.Kept {
		t.Errorf("wiped by %+v", plan)
	}

	did.mayEnd <- nil
	await(t, b, "a clean server", func(s *v1alpha2.Server) bool { return s.Status.IsClean && s.Status.Wipe.FinishedAt != nil })

	if disks := b.server(t).Status.Wipe.Disks; disks[0].State != "done" || disks[0].Error != "" || disks[1].State != "" {
		t.Errorf("disks are %+v", disks)
	}

	bind(t, b)
	<-did.restarts

	if len(did.wiped) > 0 {
		t.Error("the machine was wiped once more")
	}
}

// serve has the service answer over HTTP/2, with a cache that wakes it.
func serve(t *testing.T, b bench, plane *apitest.Plane) (address string) {
	t.Helper()

	objects, err := cache.New(plane.Admin, cache.Options{Scheme: b.admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}

	if err := registration.Index(t.Context(), objects); err != nil {
		t.Fatal(err)
	}

	config := b.config
	config.Cache, config.Informers = objects, objects
	service := registration.New(config)

	server := httptest.NewUnstartedServer(registration.NewServer(service))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	running(t, objects.Start)
	objects.WaitForCacheSync(t.Context()) // it is started
	running(t, service.Run)

	return server.Listener.Addr().String()
}

// running runs something until the test ends.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)

	go func() { ended <- run(ctx) }()

	t.Cleanup(func() {
		stop()

		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// work has an agent run on a machine with two disks.
func work(t *testing.T, endpoint string) deeds {
	t.Helper()

	did := deeds{wiped: make(chan wipe.Plan, 64), mayEnd: make(chan error), stopped: make(chan struct{}, 64), restarts: make(chan struct{}, 64)}
	one := agent.Agent{
		Machine: agent.Machine{
			CommandLine: "sidero.mac=52:54:00:00:00:01 sidero.endpoint=" + endpoint,
			Sys:         fstest.MapFS{"block/sda/size": {Data: []byte("2097152\n")}},
			Drivers:     func(context.Context) error { return nil },
			Randomness:  func(context.Context) error { return nil },
			SMBIOS: func() (*smbios.SMBIOS, error) {
				return &smbios.SMBIOS{SystemInformation: smbios.SystemInformation{UUID: machine}}, nil
			},
			Interfaces: func() ([]inventory.Interface, error) { return nil, nil },
			Hostname:   func() (string, error) { return "box", nil },
			Network:    idle{},
			Disks: func(context.Context) ([]disk.Disk, error) {
				return []disk.Disk{{Name: "sda", Path: "/dev/sda", Size: 10, Serial: "A"}, {Name: "sdb", Path: "/dev/sdb", Size: 20, Serial: "K"}}, nil
			},
			Wipe: did.wipe, Reboot: did.restart, PowerOff: func() error { return errors.New("nobody asked for that") },
		},
		Display: blank{}, Logger: slog.New(slog.DiscardHandler),
		Pace: agent.Pace{
			Restart: time.Second, FirstRetry: time.Millisecond, LastRetry: time.Second, Refresh: 300 * time.Millisecond,
			Progress: 50 * time.Millisecond, FirstWipeRetry: time.Millisecond, LastWipeRetry: time.Millisecond,
		},
	}
	running(t, func(ctx context.Context) error {
		one.Run(ctx)

		return nil
	})

	return did
}

func (d deeds) wipe(ctx context.Context, plan wipe.Plan, _ func(wipe.Progress)) ([]wipe.Progress, error) {
	d.wiped <- plan

	ended := wipe.Progress{Disk: plan.Disks[0].Disk, State: wipe.Done, Method: wipe.Fast}

	select {
	case err := <-d.mayEnd:
		if err != nil {
			ended.State, ended.Error = wipe.Failed, err.Error()
		}

		return []wipe.Progress{ended}, err
	case <-ctx.Done():
		d.stopped <- struct{}{}

		return nil, ctx.Err()
	}
}

func (d deeds) restart() error {
	d.restarts <- struct{}{}

	return nil
}

// await waits until the server is as it should become.
func await(t *testing.T, b bench, what string, is func(*v1alpha2.Server) bool) {
	t.Helper()

	server := &v1alpha2.Server{}
	watching, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	for {
		err := b.admin.Get(watching, client.ObjectKey{Name: machine}, server)
		if err == nil && is(server) {
			return
		}

		if err != nil && !strings.Contains(err.Error(), "not found") {
			t.Fatalf("no %s: %v; status is %+v", what, err, server.Status)
		}

		select {
		case <-watching.Done():
			t.Fatalf("no %s: status is %+v", what, server.Status)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
