package dhcp

import (
	"maps"
	"net"
	"net/netip"
	"sync"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Event tells an observer of one packet, answered or not. Of a malformed packet
// only Reason, Port, Interface and Remote are known.
type Event struct {
	Reason    Reason
	Port      uint16
	Interface string
	Remote    netip.AddrPort

	MAC       net.HardwareAddr
	UUID      string    // of option 97, in SMBIOS's order; "" when missing or malformed
	Arch      iana.Arch // the one chosen, else the first the client named
	ArchKnown bool      // the client named one
	IPXE      bool      // the sender is iPXE, not firmware
	File      string    // what an answered client was told to load
	Warning   string    // an oddity that was tolerated
}

// Answered tells whether a reply was sent.
func (e Event) Answered() bool { return e.File != "" && e.Reason != SendFailed }

// Counter is the key of a packet count.
type Counter struct {
	Port   uint16
	Reason Reason
}

// counters counts packets.
type counters struct {
	mu     sync.Mutex
	counts map[Counter]uint64
}

func (c *counters) add(key Counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[key]++
}

func (c *counters) snapshot() map[Counter]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// eventOf describes a parsed packet; the caller fills in what became of it.
func eventOf(request *dhcpv4.DHCPv4, in Ingress, table Architectures) Event {
	c := clientOf(request)
	event := Event{
		Port:      in.Port,
		Interface: in.Interface,
		Remote:    in.Source,
		MAC:       request.ClientHWAddr,
		IPXE:      c.ipxe,
		ArchKnown: len(c.architectures) > 0,
	}
	if event.ArchKnown {
		event.Arch = c.architectures[0]
	}
	if arch, _, ok := c.choose(table); ok {
		event.Arch = arch
	}
	guid, ok := guidOf(request)
	event.UUID = guid
	if !ok {
		event.Warning = "option 97 is no GUID; it was returned as it came"
	}
	return event
}
