package network

import (
	"net"
	"testing"
	"testing/fstest"

	"github.com/vishvananda/netlink"
)

// TestWake has three adapters in a namespace, of which the machine was booted from one, and
// an interface that is none.
func TestWake(t *testing.T) {
	w := newWire(t, false) // eth0, with its cable
	for _, name := range []string{"eth1", "eth2", "virtual"} {
		w.ip("link", "add", name, "type", "veth", "peer", "name", name+"-peer", "netns", w.name)
		w.ip("-n", w.name, "link", "set", name+"-peer", "up")
	}
	w.ip("link", "set", "eth2", "up")
	sys := fstest.MapFS{}
	for _, name := range []string{"eth0", "eth1", "eth2"} {
		sys["class/net/"+name+"/device/vendor"] = &fstest.MapFile{}
	}
	for range 2 {
		if err := Wake(sys, w.mac); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct{ up, arp, ipv6 bool }{
		"eth0": {false, true, false}, "eth1": {true, false, false}, "eth2": {true, true, true}, "virtual": {false, true, false},
	} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		addresses, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		const noARP = 0x80 // IFF_NOARP of netdevice(7)
		up, arp := link.Attrs().Flags&net.FlagUp != 0, link.Attrs().RawFlags&noARP == 0
		if up != want.up || arp != want.arp || len(addresses) > 0 != want.ipv6 {
			t.Errorf("%s: up %t, answers ARP %t, IPv6 addresses %v; want %+v", name, up, arp, addresses, want)
		}
	}
}
