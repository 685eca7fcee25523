package httpboot

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sidero-appliance/sidero-appliance/netboot/ipxe"
	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
)

// maxHeader bounds a request's header in bytes. Firmware sends a few hundred.
const maxHeader = 16 << 10

// Server is the component that owns the port.
type Server struct {
	address  string
	log      *slog.Logger
	limits   Limits
	quiet    *quiet.Gate
	http     *http.Server
	listener net.Listener
	serving  atomic.Bool
}

// New checks the configuration. Nothing is opened until Listen or Run.
func New(config Config) (*Server, error) {
	scripts, err := ipxe.New(config.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("configure HTTP boot server: %w", err)
	}
	config.Limits = config.Limits.withDefaults()
	gate := quiet.New(time.Now)
	handler := newHandler(config, scripts, gate)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &Server{
		address: config.Address,
		log:     config.Log,
		limits:  config.Limits,
		quiet:   gate,
		http: &http.Server{
			Handler:           handler,
			Protocols:         protocols,
			ReadHeaderTimeout: config.Limits.Header,
			IdleTimeout:       config.Limits.Idle,
			MaxHeaderBytes:    maxHeader,
			HTTP2:             &http.HTTP2Config{WriteByteTimeout: config.Limits.Stall, SendPingTimeout: config.Limits.Stall},
			ConnContext:       rememberConnection,
			ConnState:         handler.watchConnection,
			ErrorLog:          log.New(troubles{config.Log}, "", 0),
		},
	}, nil
}

// switchedOff is what Go's HTTP/2 server says of a machine that is gone while it waits for orders.
const switchedOff = "timeout waiting for PING response"

// troubles are what Go's HTTP server has no other place for, such as a panic in a handler.
type troubles struct{ log *slog.Logger }

// Write implements io.Writer, for a line each.
func (t troubles) Write(line []byte) (int, error) {
	text, level := strings.TrimSpace(string(line)), slog.LevelWarn
	if strings.Contains(text, switchedOff) {
		level = slog.LevelDebug
	}
	t.log.Log(context.Background(), level, text)
	return len(line), nil
}

// Name of the component.
func (s *Server) Name() string { return "http-boot" }

// Listen takes the port. Run does it too; calling it before shows a port in use before anything else is started.
func (s *Server) Listen() error {
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return explain(s.address, err)
	}
	s.listener = s.accepting(listener)
	return nil
}

// Addr is where the server listens; nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends. Then running transfers may finish, for as long as Limits.Drain says.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	s.serving.Store(true)
	defer s.serving.Store(false)
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %s: %w", s.address, err)
	case <-ctx.Done():
		s.serving.Store(false)
		return s.drain()
	}
}

func (s *Server) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.Drain)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("transfers cut by stop", "duration", s.limits.Drain)
		err = s.http.Close()
	}
	if err != nil {
		return fmt.Errorf("stop HTTP boot server: %w", err)
	}
	return nil
}

// Ready returns nil while requests are served.
func (s *Server) Ready(context.Context) error {
	if !s.serving.Load() {
		return fmt.Errorf("HTTP boot server does not serve on %s", s.address)
	}
	return nil
}

// explain adds to an error of listen(2) what to do about it.
func explain(address string, err error) error {
	_, port, _ := net.SplitHostPort(address)
	cure := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = fmt.Sprintf(": see who holds the port with \"ss -ltnp sport = :%s\", or choose another with --http-port", port)
	case errors.Is(err, syscall.EACCES):
		cure = ": ports below 1024 need CAP_NET_BIND_SERVICE; choose another with --http-port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		cure = ": no interface has this address, see \"ip address\""
	}
	return fmt.Errorf("open HTTP boot port %s: %w%s", address, err, cure)
}
