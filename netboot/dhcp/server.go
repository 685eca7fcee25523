package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
)

// Interface is a network interface to serve machines on.
type Interface struct {
	Name    string
	Address netip.Addr // to advertise there, IPv4; zero means its first one
}

// Config is what a Server needs.
type Config struct {
	Interfaces    []Interface
	HTTPPort      uint16        // where boot.ipxe is served, on the advertised address
	Architectures Architectures // nil means DefaultArchitectures
	Log           *slog.Logger
	Observe       func(Event) // optional; called on the receiving goroutine, must not block
}

// Server answers network-boot clients. It has one goroutine per socket, two
// sockets per interface.
type Server struct {
	config  Config
	check   time.Duration // see defaultCheck
	styles  *styles
	counts  counters
	serving atomic.Bool

	quiet *quiet.Gate

	mu      sync.Mutex
	sockets []*socket
}

// New checks the configuration. Nothing is opened before Listen.
func New(config Config) (*Server, error) {
	if len(config.Interfaces) == 0 {
		return nil, errors.New("configure dhcp: no interface to serve: name one with --interface")
	}
	for _, i := range config.Interfaces {
		if i.Address.IsValid() && !i.Address.Is4() {
			return nil, fmt.Errorf("configure dhcp on %s: advertised address %s is not IPv4", i.Name, i.Address)
		}
	}
	if config.HTTPPort == 0 {
		return nil, errors.New("configure dhcp: the port of the HTTP server is 0")
	}
	if config.Architectures == nil {
		config.Architectures = DefaultArchitectures()
	}
	return &Server{
		config: config,
		check:  defaultCheck,
		styles: newStyles(time.Now),
		counts: counters{counts: map[Counter]uint64{}},
		quiet:  quiet.New(time.Now),
	}, nil
}

// Name is the component's name.
func (s *Server) Name() string { return "dhcp" }

// Listen opens the sockets. Its errors are one line and name the cure.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets != nil {
		return nil
	}
	var opened []*socket
	for _, i := range s.config.Interfaces {
		for _, port := range []uint16{PortServer, PortBootServer} {
			opening := &socket{settings: i, port: port}
			if err := opening.open(); err != nil {
				closeAll(opened)
				return err
			}
			opened = append(opened, opening)
		}
	}
	s.sockets = opened
	return nil
}

// Run serves until ctx ends. It calls Listen if nobody has.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	defer closeAll(s.sockets)
	var receivers sync.WaitGroup
	for _, receiving := range s.sockets {
		receivers.Go(func() { receiving.receive(ctx, s) })
	}
	s.serving.Store(true)
	<-ctx.Done()
	s.serving.Store(false)
	closeAll(s.sockets)
	receivers.Wait()
	return nil
}

// Ready is nil while packets are answered.
func (s *Server) Ready(context.Context) error {
	if !s.serving.Load() {
		return errors.New("dhcp does not serve yet")
	}
	return nil
}

// Fetched tells the server that the machine at an address has loaded a boot
// file, over TFTP or HTTP: the offer it was given is of a kind it follows.
func (s *Server) Fetched(address netip.Addr) { s.styles.fetched(address) }

// Counters are the packets seen so far by port and reason.
func (s *Server) Counters() map[Counter]uint64 { return s.counts.snapshot() }

// handle answers one datagram through send.
func (s *Server) handle(datagram []byte, in Ingress, send func([]byte, netip.AddrPort) error) {
	request, err := dhcpv4.FromBytes(datagram)
	if err != nil {
		s.finish(Event{Reason: MalformedPacket, Port: in.Port, Interface: in.Interface, Remote: in.Source}, err)
		return
	}
	s.learn(request, in)
	event := eventOf(request, in, s.config.Architectures)
	reply, reason := s.decide(request, in, event)
	event.Reason = reason
	if reply != nil {
		event.File = reply.BootFileNameOption()
		if err = send(reply.ToBytes(), Destination(request, in)); err != nil {
			event.Reason = SendFailed
		}
	}
	s.finish(event, err)
}

// decide adds to Reply what is remembered of the client. Only the offer of a
// boot program has a style.
func (s *Server) decide(request *dhcpv4.DHCPv4, in Ingress, event Event) (*dhcpv4.DHCPv4, Reason) {
	policy := Policy{Architectures: s.config.Architectures, HTTPPort: s.config.HTTPPort}
	reply, reason := Reply(request, in, policy)
	if reason != OfferedTFTP || event.IPXE {
		return reply, reason
	}
	usual := usualStyle(event.Arch)
	policy.Style = s.styles.next(identityOf(request), request.TransactionID, usual)
	if policy.Style == usual {
		return reply, reason
	}
	return Reply(request, in, policy)
}

// learn takes from a packet what it proves about offers made before it, to
// whomever it is addressed.
func (s *Server) learn(request *dhcpv4.DHCPv4, in Ingress) {
	client := identityOf(request)
	if request.OpCode != dhcpv4.OpcodeBootRequest || client == "" {
		return
	}
	// iPXE running means that the firmware got as far as loading it.
	if in.Port == PortBootServer || isIPXE(request) {
		s.styles.worked(client)
	}
	for _, ip := range [][]byte{request.ClientIPAddr.To4(), request.RequestedIPAddress().To4()} {
		if used, ok := address(ip); ok {
			s.styles.located(client, used)
		}
	}
}

// finish counts, logs and reports a packet.
func (s *Server) finish(event Event, err error) {
	s.counts.add(Counter{Port: event.Port, Reason: event.Reason})
	s.log(event, err)
	if s.config.Observe != nil {
		s.config.Observe(event)
	}
}

func (s *Server) log(event Event, err error) {
	attributes := []any{
		"mac", event.MAC.String(), "reason", string(event.Reason),
		"remote", event.Remote.String(), "interface", event.Interface,
	}
	if event.ArchKnown {
		attributes = append(attributes, "arch", uint16(event.Arch))
	}
	if event.File != "" {
		attributes = append(attributes, "file", event.File)
	}
	if err != nil {
		attributes = append(attributes, "error", err)
	}
	ctx, mac := context.Background(), event.MAC.String()
	if event.Warning != "" {
		s.config.Log.Log(ctx, s.quiet.Level(slog.LevelWarn, mac, event.Warning),
			"tolerated a malformed dhcp option", "mac", mac, "reason", event.Warning)
	}
	// The file is one of a few, and tells a ROM's offer from iPXE's.
	first := func(level slog.Level) slog.Level {
		return s.quiet.Level(level, mac, string(event.Reason)+" "+event.File)
	}
	switch {
	case event.Reason == SendFailed:
		s.config.Log.Log(ctx, first(slog.LevelWarn), "send dhcp reply", attributes...)
	case event.Answered():
		s.config.Log.Log(ctx, first(slog.LevelInfo), "answered network boot", attributes...)
	case event.Reason == UnsupportedArchitecture:
		s.config.Log.Log(ctx, first(slog.LevelInfo), "no boot file for this architecture", attributes...)
	default:
		s.config.Log.Debug("left dhcp packet unanswered", attributes...)
	}
}
