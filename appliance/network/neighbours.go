package network

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// MAC is the Ethernet address of the machine that has an IP address in one of the networks that this one is in, as the kernel's
// neighbour table has it. ok is false for others, and for this machine itself.
func MAC(address netip.Addr) (mac string, ok bool, err error) {
	family := netlink.FAMILY_V6
	if address.Is4() {
		family = netlink.FAMILY_V4
	}
	neighbours, err := netlink.NeighList(0, family)
	if err != nil {
		return "", false, fmt.Errorf("list neighbours: %w", err)
	}
	const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	for _, n := range neighbours {
		has, valid := netip.AddrFromSlice(n.IP)
		if valid && has.Unmap() == address.WithZone("") && n.State&known != 0 && len(n.HardwareAddr) > 0 {
			return n.HardwareAddr.String(), true, nil
		}
	}
	return "", false, nil
}
