package simulated

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
)

// Place is a network in which sockets are opened, as lab.Node is.
type Place interface {
	// Inside runs visit on a thread whose sockets belong to the place.
	Inside(visit func() error) error
}

// Config is what a machine is made of.
type Config struct {
	// Number tells machines apart: the UUID, the serial number, the MAC and the address come from it.
	Number int
	// Place is where the machine and its BMC are. It needs a loopback interface, whose addresses the machines have.
	Place Place
	// Appliance is the HOST:PORT that the machine boots from.
	Appliance string
	// Disk is the file that stands for the machine's disk. Without one the machine has no disk.
	Disk string
	// Blank disks have nothing on them at first, not even room, until something is written.
	Blank bool
	// Slow is how long the disk takes for a write.
	Slow time.Duration
	// NoBMC makes a machine that only a person can switch, by Press.
	NoBMC bool
	// System is the operating system that the machine boots when it is in use. Without one it goes on with the agent, and has one
	// of its own when that tells it to start again.
	System System
	// Pace of the agent; one that suits tests when zero.
	Pace agent.Pace
	// Heard is told what the agent logs. It must not block. Optional.
	Heard func(slog.Record)
	// Switched is told when the machine gets or loses power. It must not block, nor call the machine. Optional.
	Switched func(on bool)
}

// System is an operating system, from its start to the next one, which is true when the machine starts again and false when it is
// switched off. The end of the context is that of power. Without arguments it was started from the machine's disk; see package image.
// A machine whose system fails starts again.
type System func(ctx context.Context, m *Machine, arguments string) (restart bool, err error)

// Boot is one start of a machine.
type Boot struct {
	At time.Time
	// Kernel is the path of what the appliance had it start; empty when it was started from its disk.
	Kernel string
}

// Machine is one simulated machine. It is off at first.
type Machine struct {
	// Name is its UUID, and so its Server's name.
	Name string
	// MAC and Address are those of its one interface.
	MAC     net.HardwareAddr
	Address netip.Addr

	config Config
	disk   *storage // nil when there is none
	bmc    *simulator.Server
	web    *http.Client

	mu     sync.Mutex
	closed bool
	boots  []Boot
	// network tells that the next boot is from the network, whatever is on the disk.
	network bool
	life    *life // since the last time that it got power, nil when it has none
	last    <-chan struct{}
}

// New makes a machine. It has to be closed.
func New(config Config) (*Machine, error) {
	if config.Pace == (agent.Pace{}) {
		config.Pace = hasty()
	}

	m := &Machine{
		Name: Name(config.Number), MAC: mac(config.Number), Address: address(config.Number), config: config,
	}
	m.web = &http.Client{
		Timeout: scriptTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, to string) (net.Conn, error) { return m.dial(ctx, to) },
		},
	}

	if config.Disk != "" {
		if err := format(config.Disk, config.Blank); err != nil {
			return nil, fmt.Errorf("make disk of machine %d: %w", config.Number, err)
		}

		m.disk = &storage{path: config.Disk, slow: config.Slow}
	}

	if config.NoBMC {
		return m, nil
	}

	err := config.Place.Inside(func() (err error) {
		m.bmc, err = simulator.Start(simulator.Config{
			Power: func(on bool, boot simulator.Boot) { m.power(on, boot.Network) },
		})

		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make BMC of machine %d: %w", config.Number, err)
	}

	return m, nil
}

// hasty is the pace of agents whose appliance comes and goes.
func hasty() agent.Pace {
	const moment = 50 * time.Millisecond

	return agent.Pace{
		Restart: moment, FirstRetry: moment, LastRetry: 4 * moment, Refresh: time.Minute, Progress: 2 * moment,
		FirstWipeRetry: 4 * moment, LastWipeRetry: 20 * moment, Leave: moment,
	}
}

// Name is the UUID of the machine with this number.
func Name(number int) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, binary.BigEndian.AppendUint64([]byte("simulated"), uint64(number))).String() //nolint:gosec // a name
}

func mac(number int) net.HardwareAddr {
	return net.HardwareAddr{0x52, 0x54, 0x01, byte(number >> 16), byte(number >> 8), byte(number)}
}

// address is one of loopback, which needs no set-up: all of 127.0.0.0/8 is there.
func address(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 1 + byte(number>>16), byte(number >> 8), byte(number)})
}

// Reachable is what the machine tells of its address: the one in 10.0.0.0/8 that has the same number, as nobody is reached by one of
// loopback. Nothing is there unless the Place has a route for it.
func (m *Machine) Reachable() netip.Addr {
	bytes := m.Address.As4()
	bytes[0] = 10

	return netip.AddrFrom4(bytes)
}

// Disk is the path of the file that stands for its disk, empty if it has none.
func (m *Machine) Disk() string { return m.config.Disk }

// Port is the UDP port of the BMC, on 127.0.0.1. Its user is admin, its password is password.
func (m *Machine) Port() int { return m.bmc.Port() }

// Press switches the machine on or off, as a person at the machine does. One that is on stays on.
func (m *Machine) Press(on bool) {
	if m.bmc != nil {
		m.bmc.Press(on)

		return
	}

	m.mu.Lock()
	network := m.network || m.config.System == nil
	m.network = m.network && !on
	m.mu.Unlock()

	m.power(on, network)
}

// FromNetwork has a machine without a BMC boot from the network when it is switched on next, as a person may choose in its firmware.
func (m *Machine) FromNetwork() {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.network = true
}

// Boots are all that the machine has started so far.
func (m *Machine) Boots() []Boot {
	m.mu.Lock()
	defer m.mu.Unlock()

	return slices.Clone(m.boots)
}

func (m *Machine) started(k kernel) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.boots = append(m.boots, Boot{time.Now(), k.path})
}

// Powered tells whether the machine is on.
func (m *Machine) Powered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.life != nil
}

// Running tells whether an operating system runs on the machine, started from its disk.
func (m *Machine) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.life != nil && m.life.installed.Load()
}

// Commands are those that the BMC was given and that change something: what has power, and what boots.
func (m *Machine) Commands() []simulator.Entry {
	var changing []simulator.Entry

	for _, entry := range m.bmc.Log() {
		switch entry.Command {
		case "Chassis Control", "Set System Boot Options":
			changing = append(changing, entry)
		}
	}

	return changing
}

// Close takes the machine's power away for good and returns when nothing of it runs.
func (m *Machine) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.power(false, false)

	m.mu.Lock()
	last := m.last
	m.mu.Unlock()

	if last != nil {
		<-last
	}

	if m.bmc == nil {
		return nil
	}

	return m.bmc.Close()
}

// power begins or ends a life. It must not call the BMC, which calls it.
func (m *Machine) power(on, network bool) {
	if m.config.Switched != nil {
		m.config.Switched(on)
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if !on || m.closed {
		if m.life != nil {
			m.life.end()
			m.life = nil
		}

		return
	}

	if m.life != nil {
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	m.life = &life{Machine: m, end: cancel}

	go func(l *life, before <-chan struct{}) {
		defer close(ended)
		defer cancel()

		if before != nil {
			<-before // what had no power any more
		}

		l.run(ctx, network)
	}(m.life, m.last)

	m.last = ended
}

// dial connects from the machine's own address.
func (m *Machine) dial(ctx context.Context, to string) (conn net.Conn, err error) {
	err = m.config.Place.Inside(func() error {
		from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(m.Address, 0))
		conn, err = (&net.Dialer{LocalAddr: from}).DialContext(ctx, "tcp4", to)

		return err
	})

	return conn, err
}

// serial is the machine's serial number.
func (m *Machine) serial() string { return fmt.Sprintf("simulated-%06d", m.config.Number) }

// host is the machine's name in the network.
func (m *Machine) host() string {
	return cmp.Or(filepath.Base(m.config.Disk), "machine") + fmt.Sprintf("-%d", m.config.Number)
}
