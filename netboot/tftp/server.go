package tftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
)

// Port is TFTP's.
const Port uint16 = 69

// DefaultFinish is how long running transfers may go on after the server is told
// to stop.
const DefaultFinish = 30 * time.Second

// Config is what a Server needs.
type Config struct {
	// Interfaces to serve, by name. Requests that come in through others are left
	// unanswered, but for those of this machine itself.
	Interfaces []string
	// Port to listen on; 0 lets the kernel choose.
	Port    uint16
	Files   Files
	Chain   Chain         // optional
	Finish  time.Duration // for running transfers at the end; 0 is DefaultFinish
	Log     *slog.Logger
	Observe func(Event) // optional; must not block
}

func (c Config) finish() time.Duration { return cmp.Or(c.Finish, DefaultFinish) }

func (c Config) serves(device *net.Interface) bool {
	return device.Flags&net.FlagLoopback != 0 || slices.Contains(c.Interfaces, device.Name)
}

// Server is a TFTP server.
type Server struct {
	config  Config
	quiet   *quiet.Gate
	serving atomic.Bool
	socket  *socket
}

// New checks the configuration. Nothing is opened before Listen.
func New(config Config) (*Server, error) {
	if len(config.Interfaces) == 0 {
		return nil, errors.New("configure tftp: no interface to serve: name one with --interface")
	}
	if config.Files == nil {
		return nil, errors.New("configure tftp: no files")
	}
	if len(config.Chain.Programs) > 0 && config.Chain.Script == nil {
		return nil, errors.New("configure tftp: boot programs without a script")
	}
	return &Server{config: config, quiet: quiet.New(time.Now)}, nil
}

// Name is the component's name.
func (s *Server) Name() string { return "tftp" }

// Listen opens the socket. Its errors are one line and name the cure.
func (s *Server) Listen() error {
	if s.socket != nil {
		return nil
	}
	address := netip.AddrPortFrom(netip.IPv4Unspecified(), s.config.Port)
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return explain(address, err)
	}
	// Room for the acknowledgements of all transfers at once; the kernel caps
	// it at net.core.rmem_max, and a lost one is asked for again.
	_ = conn.SetReadBuffer(1 << 20)
	if s.socket, err = newSocket(conn, s); err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

// explain turns a bind error into a line that says what to do.
func explain(address netip.AddrPort, err error) error {
	cure := "see `ip addr`"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = fmt.Sprintf("another TFTP server or dnsmasq may hold it: see `ss -ulpn sport = :%d` and stop that", address.Port())
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		cure = "give the process CAP_NET_BIND_SERVICE (the systemd unit does)"
	}
	return fmt.Errorf("listen on udp %s: %w: %s", address, err, cure)
}

// Run serves until ctx ends and running transfers have finished, or their time
// is over. It calls Listen if nobody has.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.serving.Store(true)
	defer s.serving.Store(false)
	return s.socket.serve(ctx)
}

// Ready is nil while requests are answered.
func (s *Server) Ready(context.Context) error {
	if !s.serving.Load() {
		return errors.New("tftp does not serve yet")
	}
	return nil
}

// Port is the port listened on: the one that the kernel chose where 0 was
// configured. It is 0 before Listen.
func (s *Server) Port() uint16 {
	if s.socket == nil {
		return 0
	}
	return s.socket.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// report counts, logs and passes on an event.
func (s *Server) report(event Event) {
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
