package tftp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
)

// Port is TFTP's.
const Port uint16 = 69

// finishTime is how long running transfers may go on after the server is told
// to stop.
const finishTime = 30 * time.Second

// Config is what a Server needs.
type Config struct {
	// Addresses to listen on, IPv4, each on a socket of its own, so that
	// replies come from the address that was asked.
	Addresses []netip.AddrPort
	Files     Files
	Chain     Chain // optional
	Log       *slog.Logger
	Observe   func(Event) // optional; must not block
}

// Server is a TFTP server.
type Server struct {
	config  Config
	counts  counters
	quiet   *quiet.Gate
	serving atomic.Bool
	sockets []*socket
}

// New checks the configuration. Nothing is opened before Listen.
func New(config Config) (*Server, error) {
	if len(config.Addresses) == 0 {
		return nil, errors.New("configure tftp: no address to listen on")
	}
	for _, address := range config.Addresses {
		if !address.Addr().Is4() || address.Addr().IsUnspecified() {
			return nil, fmt.Errorf("configure tftp: %s is not an IPv4 address of an interface", address)
		}
	}
	if config.Files == nil {
		return nil, errors.New("configure tftp: no files")
	}
	if len(config.Chain.Programs) > 0 && config.Chain.Script == nil {
		return nil, errors.New("configure tftp: boot programs without a script")
	}
	return &Server{config: config, counts: counters{counts: map[Outcome]uint64{}}, quiet: quiet.New(time.Now)}, nil
}

// Name is the component's name.
func (s *Server) Name() string { return "tftp" }

// Listen opens the sockets. Its errors are one line and name the cure.
func (s *Server) Listen() error {
	if s.sockets != nil {
		return nil
	}
	var opened []*socket
	for _, address := range s.config.Addresses {
		next, err := s.open(address)
		if err != nil {
			for _, before := range opened {
				_ = before.conn.Close()
			}
			return err
		}
		opened = append(opened, next)
	}
	s.sockets = opened
	return nil
}

func (s *Server) open(address netip.AddrPort) (*socket, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, explain(address, err)
	}
	// Room for the acknowledgements of all transfers at once; the kernel caps
	// it at net.core.rmem_max, and a lost one is asked for again.
	_ = conn.SetReadBuffer(1 << 20)
	return newSocket(conn, s), nil
}

// explain turns a bind error into a line that says what to do.
func explain(address netip.AddrPort, err error) error {
	cure := "see `ip addr`"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = fmt.Sprintf("another TFTP server or dnsmasq may hold it: see `ss -ulpn sport = :%d` and stop that", address.Port())
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		cure = "give the process CAP_NET_BIND_SERVICE (the systemd unit does)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		cure = "no interface has this address: see `ip addr`, choose another with --advertise-address"
	}
	return fmt.Errorf("listen on udp %s: %w: %s", address, err, cure)
}

// Run serves until ctx ends and running transfers have finished, at most 30 s
// later. It calls Listen if nobody has.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	var serving sync.WaitGroup
	failures := make([]error, len(s.sockets))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, socket := range s.sockets {
		serving.Go(func() {
			defer cancel() // one that fails ends the others
			failures[i] = socket.serve(ctx)
		})
	}
	s.serving.Store(true)
	serving.Wait()
	s.serving.Store(false)
	return errors.Join(failures...)
}

// Ready is nil while requests are answered.
func (s *Server) Ready(context.Context) error {
	if !s.serving.Load() {
		return errors.New("tftp does not serve yet")
	}
	return nil
}

// LocalAddresses are the addresses listened on, with the ports the kernel chose
// where 0 was configured. It is empty before Listen.
func (s *Server) LocalAddresses() []netip.AddrPort {
	var addresses []netip.AddrPort
	for _, socket := range s.sockets {
		addresses = append(addresses, socket.conn.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return addresses
}

// Counters are the requests seen so far by outcome.
func (s *Server) Counters() map[Outcome]uint64 { return s.counts.snapshot() }

// report counts, logs and passes on an event.
func (s *Server) report(event Event) {
	s.counts.add(event.Outcome)
	s.log(event)
	if s.config.Observe != nil {
		s.config.Observe(event)
	}
}

func (s *Server) log(event Event) {
	attributes := []any{
		"remote", event.Remote.String(), "file", event.File, "reason", string(event.Outcome),
		"bytes", event.Bytes, "duration", event.Duration,
	}
	if event.Err != nil {
		attributes = append(attributes, "error", event.Err)
	}
	ctx, log := context.Background(), s.config.Log
	first := func(level slog.Level) slog.Level {
		return s.quiet.Level(level, event.Remote.Addr().String(), repeated(event))
	}
	switch {
	case event.Outcome == Completed && event.Script:
		log.Log(ctx, first(slog.LevelInfo), "sent boot script over tftp in place of file", attributes...)
	case event.Outcome == Completed:
		log.Log(ctx, first(slog.LevelInfo), "sent file over tftp", attributes...)
	case event.Outcome == TimedOut || event.Outcome == Stopped:
		log.Log(ctx, first(slog.LevelInfo), "tftp transfer did not finish", attributes...)
	case event.Outcome == Overloaded:
		log.Log(ctx, first(slog.LevelWarn), "too many tftp transfers, request left unanswered", attributes...)
	case event.Outcome == Failed:
		log.Log(ctx, first(slog.LevelError), "tftp request failed", attributes...)
	default: // UEFI's first open, iPXE's autoexec.ipxe, noise
		log.Debug("ended tftp request without a file", attributes...)
	}
}

// repeated is what makes two events of one client the same to a reader of the
// log. Only files that exist are told apart: a client makes up the others.
func repeated(event Event) string {
	if event.Outcome != Completed {
		return string(event.Outcome)
	}
	return fmt.Sprintf("%s %t %s", event.Outcome, event.Script, event.File)
}
