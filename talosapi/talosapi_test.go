package talosapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

// site is a cluster and the configuration of its administrator.
type site struct {
	*talostest.Cluster

	config []byte
}

func newSite(t *testing.T) site {
	t.Helper()

	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	must(t, err)

	config, err := secrets.ClientConfig(machineconfig.Client{Cluster: "c"}, time.Now())
	must(t, err)

	authority, key := secrets.TalosCA()

	return site{&talostest.Cluster{Authority: authority, Key: key}, config}
}

func (s site) dial(t *testing.T, node *talostest.Node) talosapi.Node {
	t.Helper()

	api, err := talosapi.Dial(s.config, node.Address)
	must(t, err)
	t.Cleanup(func() { must(t, api.Close()) })

	return api
}

// TestLife takes a cluster from its bootstrap to its end, as the control plane provider does.
func TestLife(t *testing.T) {
	ctx := t.Context()
	s := newSite(t)
	first, second := s.Start(t, "a"), s.Start(t, "b")
	a, b := s.dial(t, first), s.dial(t, second)

	if _, err := a.EtcdMembers(ctx); !errors.Is(err, talosapi.ErrNotReady) {
		t.Errorf("members before the bootstrap: %v", err)
	}

	must(t, a.Bootstrap(ctx))

	if err := a.Bootstrap(ctx); !errors.Is(err, talosapi.ErrBootstrapped) {
		t.Errorf("second bootstrap: %v", err)
	}

	members, err := b.EtcdMembers(ctx)
	must(t, err)

	if len(members) != 2 || members[0].Hostname != "a" || members[1].PeerURLs[0] != "https://"+second.Address+":2380" {
		t.Errorf("members are %+v", members)
	}

	etcd, err := b.EtcdStatus(ctx)
	must(t, err)

	if etcd.ID != members[1].ID || etcd.Leader != members[0].ID {
		t.Errorf("status is %+v", etcd)
	}

	must(t, a.EtcdForfeitLeadership(ctx))
	must(t, b.EtcdRemoveMember(ctx, members[0].ID))

	if err := b.EtcdLeave(ctx); err == nil {
		t.Error("the last member left")
	}

	if left := s.Members(); len(left) != 1 || left[0] != "b" || s.Bootstraps() != 1 {
		t.Errorf("left %v of %d clusters", left, s.Bootstraps())
	}

	must(t, b.Reset(ctx, talosapi.Reset{Reboot: true, SystemDiskOnly: true, Partitions: []string{"STATE"}}))
	must(t, b.Reboot(ctx))

	if got := second.Resets()[0]; !got.Reboot || got.Graceful || !got.SystemDiskOnly || got.Partitions[0] != "STATE" {
		t.Errorf("reset by %+v", got)
	}
}

func TestUpgrade(t *testing.T) {
	s := newSite(t)
	api := s.dial(t, s.Start(t, "a"))

	version, err := api.Version(t.Context())
	must(t, err)
	must(t, api.Upgrade(t.Context(), "images.lan:5000/installer:v1.13.7"))

	upgraded, err := api.Version(t.Context())
	must(t, err)

	if version != "v1.13.6" || upgraded != "v1.13.7" {
		t.Errorf("versions %s, %s", version, upgraded)
	}
}

// TestConfiguration reads a node's configuration and gives it another.
func TestConfiguration(t *testing.T) {
	s := newSite(t)
	s.Configuration = []byte("machine: {}\n")
	node := s.Start(t, "a")
	api := s.dial(t, node)

	was, err := api.Configuration(t.Context())
	must(t, err)
	must(t, api.Configure(t.Context(), append(was, "cluster: {}\n"...)))

	if got := string(node.Configuration()); got != "machine: {}\ncluster: {}\n" {
		t.Errorf("it runs by %q", got)
	}

	node.Refuse("ApplyConfiguration", status.Error(codes.InvalidArgument, "unknown keys found during decoding:\nmachine:\n    token: secret"))

	if err := api.Configure(t.Context(), was); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "unknown keys") {
		t.Errorf("refused: %v", err)
	}
}

// TestEtcdData: data are there also while etcd does not run.
func TestEtcdData(t *testing.T) {
	s := newSite(t)
	node := s.Start(t, "a")
	api := s.dial(t, node)

	for _, step := range []struct {
		do   func()
		want bool
	}{
		{func() {}, false},
		{func() { must(t, api.Bootstrap(t.Context())) }, true},
		{func() { node.SetStarting(true) }, true},
	} {
		step.do()

		if has, err := api.EtcdData(t.Context()); err != nil || has != step.want {
			t.Errorf("%v, want %v: %v", has, step.want, err)
		}
	}

	if _, err := api.EtcdStatus(t.Context()); !errors.Is(err, talosapi.ErrNotReady) {
		t.Errorf("while it starts: %v", err)
	}
}

func TestServices(t *testing.T) {
	s := newSite(t)
	node := s.Start(t, "a")
	api := s.dial(t, node)

	for _, step := range []struct {
		do          func()
		state       string
		healthy     bool
		description string
	}{
		{func() {}, "Preparing", false, "before the bootstrap"},
		{func() { must(t, api.Bootstrap(t.Context())) }, "Running", true, "after it"},
		{func() { node.SetHealthy(false) }, "Running", false, "broken"},
	} {
		step.do()

		services, err := api.Services(t.Context())
		must(t, err)

		for _, service := range services {
			if service.ID == "etcd" && (service.State != step.state || service.Healthy != step.healthy) {
				t.Errorf("%s: %+v", step.description, service)
			}
		}
	}
}

// TestErrors wants each way to fail to be told apart.
func TestErrors(t *testing.T) {
	s := newSite(t)
	node := s.Start(t, "a")
	api := s.dial(t, node)

	for _, c := range []struct {
		code codes.Code
		want error
	}{
		{codes.Unavailable, talosapi.ErrUnreachable},
		{codes.DeadlineExceeded, talosapi.ErrUnreachable},
		{codes.Unimplemented, talosapi.ErrNotReady}, // maintenance mode
		{codes.FailedPrecondition, talosapi.ErrNotReady},
		{codes.AlreadyExists, talosapi.ErrBootstrapped},
	} {
		node.Refuse("Bootstrap", status.Error(c.code, "as told"))

		err := api.Bootstrap(t.Context())
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), node.Address) || !strings.Contains(err.Error(), "as told") {
			t.Errorf("%s: %v", c.code, err)
		}
	}

	node.SwitchOff()

	if _, err := api.Version(t.Context()); !errors.Is(err, talosapi.ErrUnreachable) {
		t.Errorf("off: %v", err)
	}

	stranger := newSite(t)
	stranger.Start(t, "z")

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()

	node.SwitchOn(t)

	foreign, err := talosapi.Dial(stranger.config, node.Address)
	must(t, err)

	if _, err := foreign.Version(ctx); !errors.Is(err, talosapi.ErrUnreachable) {
		t.Errorf("by another authority: %v", err)
	}

	must(t, foreign.Close())
}

// TestConfigurations wants what is wrong with one to be told without what is in it.
func TestConfigurations(t *testing.T) {
	for text, want := range map[string]string{
		"{": "no YAML",
		"context: a\ncontexts: {b: {ca: secret}}":                     "no context \"a\"",
		"context: a\ncontexts: {a: {ca: c2VjcmV0}}":                   "its crt is missing",
		"context: a\ncontexts: {a: {ca: c2Vj, crt: c2, key: c}}":      "its crt is missing, or not in base 64",
		"context: a\ncontexts: {a: {ca: c2Vj, crt: c2Vj, key: c2Vj}}": "its ca is no certificate",
	} {
		_, err := talosapi.Dial([]byte(text), "127.0.0.1")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
