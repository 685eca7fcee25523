package dhcp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// machine plays one client against a memory of styles with a clock of its own.
type machine struct {
	memory *styles
	clock  time.Time
	xid    byte
}

func newMachine() *machine {
	m := &machine{clock: time.Unix(1_000_000, 0)}
	m.memory = newStyles(func() time.Time { return m.clock })
	return m
}

const mac = "52:54:00:01:02:03"

// discover sends another DISCOVER of the same attempt.
func (m *machine) discover() Style {
	return m.memory.next(mac, dhcpv4.TransactionID{m.xid}, StyleBootServer)
}

// attempt starts over, as firmware does when it gives up.
func (m *machine) attempt() Style {
	m.xid++
	m.clock = m.clock.Add(20 * time.Second)
	return m.discover()
}

func TestStyleAlternatesUntilOneWorks(t *testing.T) {
	m := newMachine()
	for i, want := range []Style{StyleBootServer, StyleDirect, StyleBootServer, StyleDirect} {
		if got := m.attempt(); got != want {
			t.Fatalf("attempt %d: got style %d, want %d", i, got, want)
		}
	}
	m.memory.worked(mac)
	for range 5 {
		if got := m.attempt(); got != StyleDirect {
			t.Fatalf("the winner was forgotten for style %d", got)
		}
		m.memory.worked(mac)
	}
}

func TestStyleStaysWithinAnAttempt(t *testing.T) {
	m := newMachine()
	m.attempt()
	for _, wait := range []time.Duration{4, 8, 16} { // PXE 2.1's retransmissions
		m.clock = m.clock.Add(wait * time.Second)
		if got := m.discover(); got != StyleBootServer {
			t.Fatalf("a retransmission got style %d", got)
		}
	}
	m.clock = m.clock.Add(tryLength)
	if got := m.discover(); got != StyleDirect {
		t.Error("a ROM whose transaction never changes was never given the other style")
	}
}

func TestStyleThatWonIsNotDoubtedAtOnce(t *testing.T) {
	m := newMachine()
	m.attempt()
	m.memory.worked(mac)
	for i := range wonPatience {
		if got := m.attempt(); got != StyleBootServer {
			t.Fatalf("attempt %d after the win: style %d", i, got)
		}
	}
	if got := m.attempt(); got != StyleDirect {
		t.Error("a winner that keeps failing was never doubted")
	}
}

func TestStyleLearnsFromFetches(t *testing.T) {
	address := netip.MustParseAddr("172.30.0.77")
	m := newMachine()
	m.attempt()
	m.memory.fetched(address) // nobody's address so far
	if got := m.attempt(); got != StyleDirect {
		t.Fatalf("got style %d", got)
	}
	m.memory.located(mac, address)
	m.memory.fetched(netip.MustParseAddr("::ffff:172.30.0.77"))
	if got := m.attempt(); got != StyleDirect {
		t.Error("a machine that fetched its boot file was given the other style")
	}
}

func TestStylesAreBounded(t *testing.T) {
	m := newMachine()
	for i := range 5 * rememberedClients {
		client := fmt.Sprint(i)
		m.memory.next(client, dhcpv4.TransactionID{}, StyleDirect)
		m.memory.located(client, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if n := len(m.memory.clients.young) + len(m.memory.clients.old); n > 2*rememberedClients {
		t.Errorf("%d clients are remembered", n)
	}
	if n := len(m.memory.addresses.young) + len(m.memory.addresses.old); n > 2*rememberedClients {
		t.Errorf("%d addresses are remembered", n)
	}
	last := fmt.Sprint(5*rememberedClients - 1)
	if _, known := m.memory.clients.get(last); !known {
		t.Error("the newest client was forgotten")
	}
}

func TestRecentKeepsWhatIsUsed(t *testing.T) {
	r := newRecent[int, string](2)
	r.put(0, "kept")
	for i := 1; i < 10; i++ {
		r.put(i, "")
		if value, ok := r.get(0); !ok || value != "kept" {
			t.Fatalf("lost after %d more", i)
		}
	}
	if _, ok := r.get(1); ok {
		t.Error("the unused one was kept")
	}
}
