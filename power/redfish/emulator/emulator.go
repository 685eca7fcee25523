package emulator

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stmcginnis/gofish/redfish"
)

// Config is what a Server is made of. Zero values mean something sensible.
type Config struct {
	// Address to listen on; a free port of loopback when empty.
	Address string
	// User and Password of the only account: admin and password when empty.
	User, Password string
	// Systems under the service; one named 1 when there are none.
	Systems []System
	// Plain is HTTP without TLS.
	Plain bool
	// LegacyTLS speaks TLS 1.2 with RSA key exchange and nothing else, as H3C's HDM does.
	LegacyTLS bool
	// Sessions is how many there may be at once: 8.
	Sessions int
	// SessionTimeout ends a session that long after its last use: 30 min.
	SessionTimeout time.Duration
	// Lies to tell from the start; Server.Lie changes them.
	Lies Lies
	// Power is called when a machine gets (with how it boots) or loses power, one call at a time. Optional.
	Power func(system string, on bool, boot Boot)
	// Now is the BMC's clock; time.Now when nil.
	Now func() time.Time
}

// System is a machine at its start.
type System struct {
	ID string
	On bool
	// ResetTypes it allows; On, ForceOff, ForceRestart, GracefulShutdown and PowerCycle when nil.
	ResetTypes []redfish.ResetType
	// Targets it can boot from; None, Pxe, Hdd and UefiHttp when nil.
	Targets []redfish.BootSourceOverrideTarget
	// Modes it can boot in; Legacy and UEFI when nil.
	Modes []redfish.BootSourceOverrideMode
	// NoBoot leaves out all of the boot override, as remote-control boxes for machines without a BMC do.
	NoBoot bool
}

// Lies are what the BMC does other than the specification says.
type Lies struct {
	// IgnoreReset answers resets with success and does nothing.
	IgnoreReset bool
	// PowerState is shown in place of the machine's.
	PowerState string
	// IgnoreBoot answers changes of the boot override with success and does nothing.
	IgnoreBoot bool
	// BootExpiry forgets a boot override that long after it was set: a minute on BMCs that keep it as IPMI does.
	BootExpiry time.Duration
	// SetAndRefuse sets a boot override and answers with an error, as iDRACs of Dell's 13th generation do.
	SetAndRefuse bool
	// BootWithoutOverride has other properties of Boot only, as some of IBM's machines.
	BootWithoutOverride bool
	// ReadOnlyMode refuses BootSourceOverrideMode.
	ReadOnlyMode bool
	// ReadOnlyHTTPBoot refuses HttpBootUri.
	ReadOnlyHTTPBoot bool
	// FutureState takes boot overrides at the system's settings object only, with its ETag, as AMI's MegaRAC does.
	FutureState bool
	// NoSettings does not mention the settings object that FutureState has.
	NoSettings bool
	// LateBoot shows and uses a boot override that long after it was set only.
	LateBoot time.Duration
	// ReadOnlyUser refuses all changes with 403.
	ReadOnlyUser bool
	// BrokenETags refuses every If-Match.
	BrokenETags bool
	// ActionInfo lists the allowed resets in a resource of their own in place of the system.
	ActionInfo bool
	// NoAllowed lists no allowed resets.
	NoAllowed bool
	// WrongTypes gives properties that power has nothing to do with types they should not have.
	WrongTypes bool
	// NoSessions refuses to make sessions.
	NoSessions bool
	// NoBasic refuses user and password with a request: only sessions log in.
	NoBasic bool
	// DeadSessions makes sessions and refuses them.
	DeadSessions bool
	// Delay before each answer.
	Delay time.Duration
	// Hang takes requests and never answers.
	Hang bool
	// Garbage is the answer to every GET, with status 200.
	Garbage string
	// Redirect sends every GET there.
	Redirect string
}

// Boot is how a machine that got power boots.
type Boot struct {
	Time   time.Time
	System string
	// Target is None without an override.
	Target redfish.BootSourceOverrideTarget
	Mode   redfish.BootSourceOverrideMode
	URI    string
}

// Server is a running BMC.
type Server struct {
	config   Config
	http     *http.Server
	listener net.Listener
	closing  chan struct{}
	done     chan struct{}

	mu          sync.Mutex
	lies        Lies
	certificate *tls.Certificate
	connections map[net.Conn]bool
	systems     []*system
	sessions    map[string]*session
	counter     int
	commands    []Command
	boots       []Boot
}

// Start starts a BMC. It runs until Close.
func Start(config Config) (*Server, error) {
	s := &Server{
		config:      withDefaults(config),
		closing:     make(chan struct{}),
		done:        make(chan struct{}),
		lies:        config.Lies,
		connections: map[net.Conn]bool{},
		sessions:    map[string]*session{},
	}
	for _, from := range s.config.Systems {
		s.systems = append(s.systems, newSystem(from))
	}
	if err := s.RenewCertificate(); err != nil {
		return nil, fmt.Errorf("start BMC: %w", err)
	}
	listener, err := net.Listen("tcp", s.config.Address)
	if err != nil {
		return nil, fmt.Errorf("start BMC: %w", err)
	}
	s.listener = listener
	if !s.config.Plain {
		listener = tls.NewListener(listener, s.tlsConfig())
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ConnState:         s.track,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that do not trust the certificate
	}
	go func() { defer close(s.done); _ = s.http.Serve(listener) }()
	return s, nil
}

func withDefaults(config Config) Config {
	config.Address = cmp.Or(config.Address, "127.0.0.1:0")
	config.User = cmp.Or(config.User, "admin")
	config.Password = cmp.Or(config.Password, "password")
	config.Sessions = cmp.Or(config.Sessions, 8)
	config.SessionTimeout = cmp.Or(config.SessionTimeout, 30*time.Minute)
	if len(config.Systems) == 0 {
		config.Systems = []System{{ID: "1"}}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Power == nil {
		config.Power = func(string, bool, Boot) {}
	}
	return config
}

// Close stops the BMC; requests that hang end.
func (s *Server) Close() error {
	close(s.closing)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// Address is HOST:PORT.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL is the base URL.
func (s *Server) URL() string {
	if s.config.Plain {
		return "http://" + s.Address()
	}
	return "https://" + s.Address()
}

// Lie changes what lies the BMC tells.
func (s *Server) Lie(lies Lies) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies = lies
}

func (s *Server) telling() Lies {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lies
}

// track keeps the open connections, so that they can be closed.
func (s *Server) track(connection net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.connections[connection] = true
	case http.StateClosed, http.StateHijacked:
		delete(s.connections, connection)
	}
}

// Disconnect closes every connection, as a BMC that restarts does.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for connection := range s.connections {
		_ = connection.Close()
	}
}
