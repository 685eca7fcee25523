package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Config is what a BMC is made of. Zero values mean something sensible.
type Config struct {
	// Address to listen on; a free port of loopback when empty.
	Address string
	// Users of the BMC; one administrator with name admin and password password when there are none.
	Users []User
	// Suites are the cipher suites it takes; 3, 8, 12 and 17 when nil.
	Suites []uint8
	// Key is the BMC's own key (Kg), with which sessions' keys are made instead of the password. Optional.
	Key string
	// Sessions is how many there may be at once: 4.
	Sessions int
	// SessionTimeout ends a session that long after its last use: 60 s.
	SessionTimeout time.Duration
	// On is true for a machine that has power at the start.
	On bool
	// Lies to tell from the start; Server.Lie changes them.
	Lies Lies
	// Power is called when the machine gets (with how it boots) or loses power, one call at a time. It must not call the
	// Server. Optional.
	Power func(on bool, boot Boot)
	// Now is the BMC's clock; time.Now when nil.
	Now func() time.Time
}

// User is an account.
type User struct {
	Name, Password string
	// Privilege is the most that the user may be; administrator when 0.
	Privilege types.PrivilegeLevel
	Disabled  bool
}

// Boot is how a machine boots.
type Boot struct {
	// Network is true for a boot from the network once, false for whatever the firmware likes.
	Network bool
	// UEFI is the EFI flag, which means something with Network.
	UEFI bool
}

// Lies are what the BMC does other than the specification says.
type Lies struct {
	// Silent answers nothing at all.
	Silent bool
	// Delay answers that late.
	Delay time.Duration
	// Garbage answers with bytes that are not IPMI, cut off, not authentic or too short, in turn.
	Garbage bool
	// GarbageInside answers commands in a session authentically with random data of random length.
	GarbageInside bool
	// IgnorePower answers changes of the power with success and does nothing.
	IgnorePower bool
	// NoCycle refuses to power-cycle.
	NoCycle bool
	// IgnoreBoot answers changes of the boot flags with success and does nothing.
	IgnoreBoot bool
	// IgnoreEFI keeps boot flags without the EFI flag.
	IgnoreEFI bool
	// HideValid never shows boot flags as valid.
	HideValid bool
	// MuteBoot refuses to show boot flags.
	MuteBoot bool
	// BootExpiry forgets boot flags that long after they were set: a minute on real ones.
	BootExpiry time.Duration
	// OnlyFlags refuses all boot options but the boot flags.
	OnlyFlags bool
	// SilentSuites does not answer a cipher suite that it does not take, instead of refusing it.
	SilentSuites bool
	// OtherSuite answers with the algorithms of another suite than asked for: none.
	OtherSuite bool
	// TellUnknownUser refuses unknown users by name, as many BMCs do; the others pretend that the password is wrong.
	TellUnknownUser bool
	// Busy answers commands in a session with "node busy".
	Busy bool
}

// Entry is a command that was received in a session.
type Entry struct {
	At   time.Time
	User string
	// Command is its name in the specification.
	Command string
	Data    []byte
}

// Server is a BMC.
type Server struct {
	config Config
	conn   net.PacketConn
	ended  chan struct{}

	mu       sync.Mutex
	lies     Lies
	on       bool
	flags    [5]byte
	flagsAt  time.Time
	sessions map[uint32]*session
	lastID   uint32
	log      []Entry
	logins   int
	garbage  int
}

// Start starts a BMC.
func Start(config Config) (*Server, error) {
	config.Sessions = cmp.Or(config.Sessions, 4)
	config.SessionTimeout = cmp.Or(config.SessionTimeout, time.Minute)
	if config.Users == nil {
		config.Users = []User{{Name: "admin", Password: "password"}}
	}
	if config.Suites == nil {
		config.Suites = []uint8{3, 8, 12, 17}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	conn, err := net.ListenPacket("udp", cmp.Or(config.Address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("start BMC: %w", err)
	}
	s := &Server{config: config, conn: conn, ended: make(chan struct{}), lies: config.Lies, on: config.On, sessions: map[uint32]*session{}}
	go s.serve()
	return s, nil
}

// Close stops the BMC.
func (s *Server) Close() error {
	err := s.conn.Close()
	<-s.ended
	return err
}

// Port is the UDP port it listens on.
func (s *Server) Port() int { return s.conn.LocalAddr().(*net.UDPAddr).Port }

// Lie changes what it lies about.
func (s *Server) Lie(lies Lies) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies = lies
}

// Powered is true when the machine has power.
func (s *Server) Powered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// Press gives or takes the machine's power, as a person at the machine does.
func (s *Server) Press(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setPower(on)
}

// NextBoot is how the machine boots the next time.
func (s *Server) NextBoot() Boot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextBoot()
}

// Log is every command that was received in a session.
func (s *Server) Log() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Count is how many commands of that name were received in sessions.
func (s *Server) Count(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, entry := range s.log {
		if entry.Command == command {
			n++
		}
	}
	return n
}

// Logins is how many sessions were begun with the right password.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Sessions is how many there are, finished or not.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return len(s.sessions)
}

// CloseSessions ends all of them and tells nobody, as a BMC does that restarts.
func (s *Server) CloseSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

func (s *Server) serve() {
	defer close(s.ended)
	buffer := make([]byte, 2048)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		answer, lies := s.answer(buffer[:n]), s.lies
		if lies.Garbage && answer != nil {
			answer = s.spoil(answer)
		}
		s.mu.Unlock()
		if answer == nil || lies.Silent {
			continue
		}
		time.AfterFunc(lies.Delay, func() { _, _ = s.conn.WriteTo(answer, from) }) // fails when it is closed
	}
}
