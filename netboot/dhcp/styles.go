package dhcp

import (
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const (
	// rememberedClients bounds the memory: a large rack row twice over.
	rememberedClients = 4096
	// tryLength is how long DISCOVERs of one transaction are one attempt. PXE
	// 2.1 waits 4+8+16+32 s, and some ROMs derive the transaction from the MAC
	// address, so that it never changes.
	tryLength = 60 * time.Second
	// wonPatience is how many attempts may fail before a style that once
	// worked is doubted: the LAN's server may be down, a cable out.
	wonPatience = 3
)

// styles remembers which style of offer each client follows. A client that
// neither asks port 4011 nor fetches anything gets the other style on its next
// attempt.
type styles struct {
	now func() time.Time

	mu        sync.Mutex
	clients   *recent[string, *attempt]
	addresses *recent[netip.Addr, string] // leases seen going by: address to client
}

// attempt is the state of one client.
type attempt struct {
	style   Style
	won     bool // style has worked
	open    bool // an offer is out and nothing came of it yet
	started time.Time
	xid     dhcpv4.TransactionID
	failed  int // attempts in a row
}

func newStyles(now func() time.Time) *styles {
	return &styles{
		now:       now,
		clients:   newRecent[string, *attempt](rememberedClients),
		addresses: newRecent[netip.Addr, string](rememberedClients),
	}
}

// next is the style for a DISCOVER; usual is what clients of its kind start
// with.
func (s *styles) next(client string, xid dhcpv4.TransactionID, usual Style) Style {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, known := s.clients.get(client)
	if !known {
		a = &attempt{style: usual}
		s.clients.put(client, a)
	}
	now := s.now()
	if a.open && a.xid == xid && now.Sub(a.started) < tryLength {
		return a.style
	}
	if a.open {
		a.fail()
	}
	a.open, a.xid, a.started = true, xid, now
	return a.style
}

func (a *attempt) fail() {
	a.failed++
	if a.won && a.failed < wonPatience {
		return
	}
	a.won, a.failed = false, 0
	if a.style == StyleDirect {
		a.style = StyleBootServer
	} else {
		a.style = StyleDirect
	}
}

// worked notes that the client acted on our offer.
func (s *styles) worked(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markWorked(client)
}

func (s *styles) markWorked(client string) {
	if a, known := s.clients.get(client); known && a.open {
		a.open, a.won, a.failed = false, true, 0
	}
}

// located notes which client uses an address.
func (s *styles) located(client string, address netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses.put(address, client)
}

// fetched notes that the machine at an address loaded a boot file.
func (s *styles) fetched(address netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if client, known := s.addresses.get(address.Unmap()); known {
		s.markWorked(client)
	}
}
