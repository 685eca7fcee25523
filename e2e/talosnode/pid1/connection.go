package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
)

const (
	// withoutLink is how long an installed node waits for a link before it goes on without: a switch needs some seconds.
	withoutLink = 10 * time.Second
	// glance is how often it is looked for.
	glance = 200 * time.Millisecond
	// again is the pause after a failure.
	again = 3 * time.Second
)

// connection is the machine's network, by DHCP on the first adapter that has a link.
type connection struct {
	network *network.Network
	log     *slog.Logger
	// first gets the first lease.
	first chan network.Link
	// linked is closed when there is a link.
	linked chan struct{}
}

func newConnection(log *slog.Logger) *connection {
	return &connection{
		network: network.New(network.Config{
			ResolvConf: "/etc/resolv.conf", SetHostname: func(name string) error { return unix.Sethostname([]byte(name)) }, Logger: log,
		}),
		log: log, first: make(chan network.Link, 1), linked: make(chan struct{}),
	}
}

// keep has an address as long as there is a link.
func (c *connection) keep(ctx context.Context) {
	for seen := false; ctx.Err() == nil; {
		mac, err := c.awaitLink(ctx)
		if err == nil && !seen {
			seen = true
			close(c.linked)
		}

		if err == nil {
			err = c.hold(ctx, mac)
		}

		if err != nil {
			c.log.Warn("no network", "error", err.Error())

			_ = pause.For(ctx, again) // its error ends the loop
		}
	}
}

// hold gets an address and returns when it is lost.
func (c *connection) hold(ctx context.Context, mac net.HardwareAddr) error {
	link, err := c.network.Up(ctx, mac)
	if err != nil {
		return err
	}

	c.log.Info("network is up", "interface", link.Interface, "address", link.Address.String())

	select {
	case c.first <- link:
	default: // only the first is waited for
	}

	return c.network.Keep(ctx)
}

// awaitLink switches the interfaces on and returns the address of the first adapter that has a link.
func (c *connection) awaitLink(ctx context.Context) (net.HardwareAddr, error) {
	sys := os.DirFS("/sys")

	for {
		links, err := netlink.LinkList()
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}

		for _, link := range links {
			if err := netlink.LinkSetUp(link); err != nil {
				return nil, fmt.Errorf("switch on %s: %w", link.Attrs().Name, err)
			}

			if isConnected(sys, link.Attrs().Name) {
				return link.Attrs().HardwareAddr, nil
			}
		}

		if err := pause.For(ctx, glance); err != nil {
			return nil, err
		}
	}
}

// isConnected tells of adapters that are switched on whether there is something at the other end.
func isConnected(sys fs.FS, name string) bool {
	_, err := fs.Stat(sys, path.Join("class/net", name, "device"))
	carrier, carrierErr := fs.ReadFile(sys, path.Join("class/net", name, "carrier"))

	return err == nil && carrierErr == nil && strings.TrimSpace(string(carrier)) == "1"
}

// await returns the network of a node: an installed one also comes up without.
func (c *connection) await(ctx context.Context, installed bool) (node.Network, error) {
	var patience <-chan time.Time
	if installed {
		patience = time.After(withoutLink)
	}

	for linked := c.linked; ; {
		select {
		case link := <-c.first:
			return node.Network{Addresses: []netip.Addr{link.Address.Addr()}, MAC: link.MAC, Hostname: link.Hostname}, nil
		case <-linked:
			linked, patience = nil, nil // DHCP answers, or it is tried again
		case <-patience:
			c.log.Warn("there is no link, going on without network")

			return node.Network{}, nil
		case <-ctx.Done():
			return node.Network{}, ctx.Err()
		}
	}
}
