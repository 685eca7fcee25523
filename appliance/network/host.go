package network

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is what this machine's network looks like.
type Host struct {
	// Interfaces in the kernel's order.
	Interfaces []Interface
	// DefaultRoutes are the IPv4 routes to everywhere, in the kernel's order.
	DefaultRoutes []Route
}

// Interface is a network interface.
type Interface struct {
	Name     string
	Index    int // the kernel's number, as in ip link
	Up       bool
	Loopback bool
	// Addresses with the length of their networks, in the kernel's order. An
	// address's scope link is included.
	Addresses []netip.Prefix
}

// Route is a default route.
type Route struct {
	Interface int // Interface.Index
	Metric    int // the lowest wins
}

// IPv4 is the interface's first IPv4 address; it is not valid if there is none.
func (i Interface) IPv4() netip.Addr {
	for _, p := range i.Addresses {
		if p.Addr().Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// Has says whether the named interface has the address.
func (h Host) Has(name string, address netip.Addr) bool {
	return slices.ContainsFunc(h.Interfaces, func(i Interface) bool {
		return i.Name == name && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == address })
	})
}

// Read asks the kernel for the interfaces and the default routes of the
// process's network namespace.
func Read() (Host, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return Host{}, fmt.Errorf("list network interfaces: %w", err)
	}
	var host Host
	for _, link := range links {
		i, err := readInterface(link)
		if err != nil {
			return Host{}, err
		}
		host.Interfaces = append(host.Interfaces, i)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return Host{}, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		host.DefaultRoutes = append(host.DefaultRoutes, defaultRoutes(r)...)
	}
	return host, nil
}

func readInterface(link netlink.Link) (Interface, error) {
	a := link.Attrs()
	i := Interface{
		Name:     a.Name,
		Index:    a.Index,
		Up:       a.Flags&net.FlagUp != 0,
		Loopback: a.Flags&net.FlagLoopback != 0,
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return Interface{}, fmt.Errorf("list addresses of %s: %w", a.Name, err)
	}
	for _, address := range addresses {
		ip, ok := netip.AddrFromSlice(address.IP)
		if !ok {
			continue
		}
		ones, _ := address.Mask.Size()
		i.Addresses = append(i.Addresses, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return i, nil
}

// defaultRoutes is none, one, or for a route with several next hops all of them.
func defaultRoutes(r netlink.Route) []Route {
	if r.Type != unix.RTN_UNICAST {
		return nil
	}
	if r.Dst != nil {
		if ones, _ := r.Dst.Mask.Size(); ones != 0 {
			return nil
		}
	}
	if len(r.MultiPath) == 0 {
		return []Route{{Interface: r.LinkIndex, Metric: r.Priority}}
	}
	var routes []Route
	for _, hop := range r.MultiPath {
		routes = append(routes, Route{Interface: hop.LinkIndex, Metric: r.Priority})
	}
	return routes
}
