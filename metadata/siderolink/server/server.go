// Package server is the appliance's end of SideroLink as a component: it joins the tunnel, lets machines in as they come and go, and
// serves what they report to. That is inside the tunnel only: on a network stack of the process's own, which no other network
// reaches, and which needs no rights, no device and no module of the kernel.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.zx2c4.com/wireguard/tun/netstack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/sidero-appliance/sidero-appliance/metadata/events"
	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink/tunnel"
)

// Ports inside the tunnel, both TCP, as in Sidero.
const (
	LogsPort   = 4001
	EventsPort = 4002
)

const (
	// A machine that has said nothing for asksAfter is asked whether it is there. Its connections end when it has not answered within
	// answersWithin.
	asksAfter     = 2 * time.Minute
	answersWithin = 30 * time.Second

	// changesAgain is when a change of machines is tried again that failed.
	changesAgain = 5 * time.Second
)

// ErrNotStarted tells that nobody knows the identity yet.
var ErrNotStarted = errors.New("SideroLink has not started yet: ask again")

// Config is what a Server needs. Every field is required.
type Config struct {
	// Identity reads the installation's.
	Identity func(context.Context) (siderolink.Identity, error)
	// Port is UDP's that machines send to.
	Port uint16
	// Peers are the machines that may use the tunnel, and Watch calls a function, which does not block, when they may have changed
	// until the context ends.
	Peers func(context.Context) ([]siderolink.Peer, error)
	Watch func(ctx context.Context, changed func()) error
	// Events and Logs take in what machines send.
	Events *events.Sink
	Logs   *logs.Receiver
	Log    *slog.Logger
}

// Server is the component.
type Server struct {
	config   Config
	identity atomic.Pointer[siderolink.Identity]
	running  atomic.Bool
}

// New makes a Server.
func New(config Config) *Server { return &Server{config: config} }

// Identity is the installation's, once the component has started.
func (s *Server) Identity() (siderolink.Identity, error) {
	if known := s.identity.Load(); known != nil {
		return *known, nil
	}

	return siderolink.Identity{}, ErrNotStarted
}

// Name identifies the component.
func (*Server) Name() string { return "siderolink" }

// Ready tells whether machines can report.
func (s *Server) Ready(context.Context) error {
	if !s.running.Load() {
		return errors.New("machines cannot report yet")
	}

	return nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	identity, err := s.config.Identity(ctx)
	if err != nil {
		return err
	}

	device, stack, err := netstack.CreateNetTUN([]netip.Addr{identity.Address()}, nil, tunnel.MTU)
	if err != nil {
		return fmt.Errorf("make network stack of SideroLink: %w", err)
	}

	link, err := tunnel.Open(tunnel.Config{Interface: device, Key: identity.Key, Port: s.config.Port, Log: s.config.Log})
	if err != nil {
		return err //nolint:wrapcheck // its words are complete
	}
	defer link.Close()

	lines, err := stack.ListenTCPAddrPort(netip.AddrPortFrom(identity.Address(), LogsPort))
	if err != nil {
		return fmt.Errorf("listen for logs in SideroLink: %w", err)
	}

	reports, err := stack.ListenTCPAddrPort(netip.AddrPortFrom(identity.Address(), EventsPort))
	if err != nil {
		return errors.Join(fmt.Errorf("listen for events in SideroLink: %w", err), lines.Close())
	}

	s.identity.Store(&identity)

	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return s.config.Logs.Serve(ctx, lines) })
	parts.Go(func() error { return s.serveEvents(ctx, reports) })
	parts.Go(func() error { return s.follow(ctx, link) })

	s.running.Store(true)
	defer s.running.Store(false)

	return parts.Wait() //nolint:wrapcheck // the parts have
}

func (s *Server) serveEvents(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(events.MaxEvent),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: asksAfter, Timeout: answersWithin}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	s.config.Events.Register(server)

	defer context.AfterFunc(ctx, server.Stop)()

	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve events in SideroLink: %w", err)
	}

	return nil
}

// follow lets those machines use the tunnel that may, whenever they change.
func (s *Server) follow(ctx context.Context, link *tunnel.Tunnel) error {
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // it is told already
		}
	}
	tell()

	watching, done := context.WithCancel(ctx)
	defer done()

	if err := s.config.Watch(watching, tell); err != nil {
		return err
	}

	var known []siderolink.Peer

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}

		now, err := s.config.Peers(ctx)
		if err == nil {
			err = link.Change(known, now)
		}

		if err != nil && ctx.Err() == nil {
			s.config.Log.Error("machines of SideroLink not changed", "error", err)
			time.AfterFunc(changesAgain, tell)

			continue
		}

		known = now
	}
}
