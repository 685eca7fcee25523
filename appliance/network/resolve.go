package network

import (
	"context"
	"fmt"
	"net/netip"
)

// Resolver looks host names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve turns an IP address or a host name into an address; IPv4 is preferred
// because network boot firmware speaks it everywhere. An empty host is no address.
func Resolve(ctx context.Context, r Resolver, host string) (netip.Addr, error) {
	if host == "" {
		return netip.Addr{}, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), nil
	}
	addresses, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look up %s: %w: use an IP address, or a name that this machine can resolve", host, err)
	}
	for _, a := range addresses {
		if a.Unmap().Is4() {
			return a.Unmap(), nil
		}
	}
	if len(addresses) == 0 {
		return netip.Addr{}, fmt.Errorf("look up %s: it has no address: use an IP address", host)
	}
	return addresses[0], nil
}
