package network

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Route is a destination and the router to it; without a valid Gateway the
// destination is on the link.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr
}

// Settings is what a DHCP server decided for an interface.
type Settings struct {
	Address     netip.Prefix
	MTU         int // bytes, 0 for the interface's default
	Routes      []Route
	Hostname    string
	NameServers []netip.Addr
}

// Lease is for how long the settings hold, counted from the request.
type Lease struct {
	Renew  time.Duration
	Expiry time.Duration
}

// forever is the lease time that never ends (RFC 2131 section 3.3).
const forever = math.MaxUint32 * time.Second

// minMTU is the least an IPv4 link carries (RFC 791); a smaller option 26 is a mistake.
const minMTU = 68

func settingsOf(ack *dhcpv4.DHCPv4) (Settings, error) {
	address, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || !address.IsGlobalUnicast() && !address.IsLinkLocalUnicast() {
		return Settings{}, fmt.Errorf("read DHCP answer: %v is not an address for a machine", ack.YourIPAddr)
	}
	bits, err := maskBits(ack, address)
	if err != nil {
		return Settings{}, err
	}
	settings := Settings{
		Address:     netip.PrefixFrom(address, bits),
		Hostname:    hostnameOf(ack),
		NameServers: addresses(ack.DNS()),
		Routes:      routesOf(ack),
	}
	if mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options); err == nil && mtu >= minMTU {
		settings.MTU = int(mtu)
	}
	return settings, nil
}

// hostnameOf is option 12, or no name where that is not text: it would be refused
// wherever it is written.
func hostnameOf(ack *dhcpv4.DHCPv4) string {
	name := ack.HostName()
	if !utf8.ValidString(name) {
		return ""
	}
	return name
}

// maskBits falls back to the address's class when option 1 is missing, as clients
// have always done.
func maskBits(ack *dhcpv4.DHCPv4, address netip.Addr) (int, error) {
	mask := ack.SubnetMask()
	if mask == nil {
		mask = net.IP(address.AsSlice()).DefaultMask()
	}
	bits, size := mask.Size()
	if size != 32 || bits == 0 {
		return 0, fmt.Errorf("read DHCP answer: %v is not a subnet mask", mask)
	}
	return bits, nil
}

// routesOf takes option 121 if there is one, else the routers of option 3 (RFC 3442).
// Routes on the link come first, because the gateways of the others may need them.
func routesOf(ack *dhcpv4.DHCPv4) []Route {
	var onLink, others []Route
	for _, route := range ack.ClasslessStaticRoute() {
		ones, _ := route.Dest.Mask.Size()
		destination, ok := netip.AddrFromSlice(route.Dest.IP.To4())
		if !ok {
			continue
		}
		parsed := Route{Destination: netip.PrefixFrom(destination, ones).Masked()}
		if gateway, ok := netip.AddrFromSlice(route.Router.To4()); ok && !gateway.IsUnspecified() {
			parsed.Gateway = gateway
			others = append(others, parsed)
		} else {
			onLink = append(onLink, parsed)
		}
	}
	if routes := slices.Concat(onLink, others); len(routes) > 0 {
		return routes
	}
	if routers := addresses(ack.Router()); len(routers) > 0 {
		return []Route{{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: routers[0]}}
	}
	return nil
}

func addresses(list []net.IP) []netip.Addr {
	var out []netip.Addr
	for _, ip := range list {
		if address, ok := netip.AddrFromSlice(ip.To4()); ok && !address.IsUnspecified() {
			out = append(out, address)
		}
	}
	return out
}

// leaseOf reads the lease's times; T1 is half of it where the server names none
// (RFC 2131 section 4.4.5).
func leaseOf(ack *dhcpv4.DHCPv4) (Lease, error) {
	expiry := ack.IPAddressLeaseTime(0)
	if expiry <= 0 {
		return Lease{}, errors.New("read DHCP answer: it has no lease time")
	}
	renew := ack.IPAddressRenewalTime(expiry / 2)
	if renew <= 0 || renew >= expiry {
		renew = expiry / 2
	}
	return Lease{Renew: renew, Expiry: expiry}, nil
}

// minRenewWait is the least time between two tries to renew (RFC 2131 section 4.4.5).
const minRenewWait = time.Minute

// retry is how long to wait for the next try, age after the lease began, when one has
// failed; false when the lease ends before that.
func (l Lease) retry(age time.Duration) (time.Duration, bool) {
	left := l.Expiry - age
	wait := max(left/2, minRenewWait)
	return wait, wait < left
}
