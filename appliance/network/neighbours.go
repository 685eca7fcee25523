package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// listTries is how often the neighbour table is read that changes meanwhile, as while many machines start.
const listTries = 5

// MAC is the Ethernet address of the machine that has an IP address in one of the networks that this one is in, as the kernel's
// neighbour table has it. ok is false for others, and for this machine itself. Link-local addresses, which machines at several
// interfaces may share, have the interface's name as zone.
func MAC(address netip.Addr) (mac string, ok bool, err error) {
	family := netlink.FAMILY_V6
	if address.Is4() {
		family = netlink.FAMILY_V4
	}
	link := 0 // any
	if zone := address.Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return "", false, fmt.Errorf("find network interface of %s: %w", address, err)
		}
		link = i.Index
	}
	for range listTries {
		var neighbours []netlink.Neigh
		neighbours, err = netlink.NeighList(link, family)
		if mac, ok := find(neighbours, address.WithZone("")); ok {
			return mac, true, nil
		}
		if err == nil {
			return "", false, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return "", false, fmt.Errorf("list neighbours: %w", err)
}

// find is the MAC of an address that the kernel is sure of, or was lately.
func find(neighbours []netlink.Neigh, address netip.Addr) (mac string, ok bool) {
	const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	for _, n := range neighbours {
		has, valid := netip.AddrFromSlice(n.IP)
		if valid && has.Unmap() == address && n.State&known != 0 && len(n.HardwareAddr) > 0 {
			return n.HardwareAddr.String(), true
		}
	}
	return "", false
}
