package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
)

// poll is how often the kernel is asked for a change; asking costs microseconds.
const poll = 20 * time.Millisecond

// findLink waits for the interface with an address.
func findLink(ctx context.Context, mac net.HardwareAddr) (netlink.Link, error) {
	var seen []string
	for {
		links, err := netlink.LinkList()
		// An interface that appears during the list cuts it short; the next one is whole.
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		seen = seen[:0]
		for _, link := range links {
			attrs := link.Attrs()
			if bytes.Equal(attrs.HardwareAddr, mac) {
				return link, nil
			}
			if len(attrs.HardwareAddr) == 6 && attrs.Flags&net.FlagLoopback == 0 {
				seen = append(seen, attrs.Name+" "+attrs.HardwareAddr.String())
			}
		}
		if err := pause.For(ctx, poll); err != nil {
			return nil, fmt.Errorf("no interface has the address %s; there are: %s", mac, listOr(seen, "none"))
		}
	}
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

// raise switches the link on and waits for its carrier.
func raise(ctx context.Context, link netlink.Link) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch on %s: %w", link.Attrs().Name, err)
	}
	for waited := false; ; waited = true {
		current, err := netlink.LinkByIndex(link.Attrs().Index)
		if err != nil {
			return fmt.Errorf("look at %s: %w", link.Attrs().Name, err)
		}
		// Not IFF_RUNNING: for a virtio interface the kernel sets it up to a second late.
		up := current.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
		if up && !waited {
			return nil
		}
		if err := pause.For(ctx, poll); err != nil && !up {
			return fmt.Errorf("%s has no carrier", link.Attrs().Name)
		}
		// The sleep after a carrier that came late gives the kernel the time to open its
		// queue; what is sent before that is dropped.
		if up {
			return nil
		}
	}
}

// flush removes the IPv4 addresses, and with them the routes, of an earlier lease.
func flush(link netlink.Link) error {
	old, err := netlink.AddrList(link, netlink.FAMILY_V4)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // by an interface that appeared
		old, err = netlink.AddrList(link, netlink.FAMILY_V4)
	}
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, address := range old {
		if err := netlink.AddrDel(link, &address); err != nil {
			return fmt.Errorf("remove address %s: %w", address.IPNet, err)
		}
	}
	return nil
}

func setAddress(link netlink.Link, settings Settings) error {
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(settings.Address)}); err != nil {
		return fmt.Errorf("set address %s: %w", settings.Address, err)
	}
	return nil
}

func setMTU(link netlink.Link, settings Settings) error {
	if settings.MTU == 0 || settings.MTU == link.Attrs().MTU {
		return nil
	}
	if err := netlink.LinkSetMTU(link, settings.MTU); err != nil {
		return fmt.Errorf("set MTU %d: %w", settings.MTU, err)
	}
	return nil
}

// setRoutes sets those that can be set, and says of the others why not.
func setRoutes(link netlink.Link, settings Settings) error {
	var failed []error
	for _, route := range settings.Routes {
		wanted := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(route.Destination), Scope: netlink.SCOPE_LINK}
		if route.Gateway.IsValid() {
			wanted.Gw, wanted.Scope = route.Gateway.AsSlice(), netlink.SCOPE_UNIVERSE
			// Hosting networks give /32 addresses with a router outside of them.
			if !settings.Address.Contains(route.Gateway) {
				wanted.Flags = int(netlink.FLAG_ONLINK)
			}
		}
		if err := netlink.RouteReplace(wanted); err != nil {
			failed = append(failed, fmt.Errorf("set route to %s: %w", route.Destination, err))
		}
	}
	return errors.Join(failed...)
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

func writeResolvConf(path string, servers []netip.Addr) error {
	var text strings.Builder
	for _, server := range servers {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// timedOut tells that a wait of ours ended by its own limit and not by the caller.
func timedOut(ctx context.Context, err error) bool {
	return ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded)
}
