package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/step"
)

const (
	// linkWait covers the slowest drivers: some load firmware first.
	linkWait = time.Minute
	// carrierWait covers the negotiation of 10GBASE-T and of LACP partners.
	carrierWait = 30 * time.Second
)

// Config says where the side effects go.
type Config struct {
	// ResolvConf is the path of the resolver's configuration.
	ResolvConf string
	// SetHostname sets the machine's name.
	SetHostname func(name string) error
	Logger      *slog.Logger
}

// Network is the boot interface's network.
type Network struct {
	Config

	link  netlink.Link
	ack   *dhcpv4.DHCPv4
	lease Lease
	began time.Time
}

// Link is the interface in use and what it was given.
type Link struct {
	Interface string
	MAC       net.HardwareAddr
	Settings
}

// New touches nothing yet.
func New(config Config) *Network { return &Network{Config: config} }

// Up waits for the interface with the address mac and for its carrier, gets a lease
// and configures the interface. Errors are of type *step.Error.
func (n *Network) Up(ctx context.Context, mac net.HardwareAddr) (Link, error) {
	if err := n.raise(ctx, mac); err != nil {
		return Link{}, err
	}
	name := n.link.Attrs().Name
	began := time.Now()
	ack, err := acquire(ctx, name, mac)
	if err != nil {
		return Link{}, step.Failed("get an address by DHCP", err, "that a DHCP server with free addresses serves the network of "+name+", and that the switch port is in the right VLAN")
	}
	settings, err := settingsOf(ack)
	if err == nil {
		n.lease, err = leaseOf(ack)
	}
	if err != nil {
		return Link{}, step.Failed("get an address by DHCP", err, "the configuration of the DHCP server "+ack.ServerIdentifier().String())
	}
	n.ack, n.began = ack, began
	if err := n.configure(settings); err != nil {
		return Link{}, step.Failed("configure "+name, err, "the address that the DHCP server "+ack.ServerIdentifier().String()+" gives")
	}
	return Link{Interface: name, MAC: mac, Settings: settings}, nil
}

func (n *Network) raise(ctx context.Context, mac net.HardwareAddr) error {
	began := time.Now()
	wait, cancel := context.WithTimeout(ctx, linkWait)
	defer cancel()
	link, err := findLink(wait, mac)
	if err != nil {
		return step.Failed("find the interface the machine booted from", err, "whether this image has the interface's driver; the kernel's messages above name the device")
	}
	n.link = link
	n.Logger.Info("interface found", "interface", link.Attrs().Name, "mac", mac.String(), "duration", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	wait, cancel = context.WithTimeout(ctx, carrierWait)
	defer cancel()
	if err := raise(wait, link); err != nil {
		return step.Failed("bring the link up", err, "the cable and the switch port of "+link.Attrs().Name)
	}
	n.Logger.Info("link up", "interface", link.Attrs().Name, "duration", time.Since(began).Round(time.Millisecond))
	return nil
}

func (n *Network) configure(settings Settings) error {
	if err := flush(n.link); err != nil {
		return err
	}
	if err := setAddress(n.link, settings); err != nil {
		return err
	}
	// None of these keeps a machine from registering: it has just booted over this
	// network without them. One is an MTU of 9000 for a card that takes 1500.
	if err := setMTU(n.link, settings); err != nil {
		n.Logger.Warn("the MTU was not set", "reason", err.Error())
	}
	if err := setRoutes(n.link, settings); err != nil {
		n.Logger.Warn("not all routes were set", "reason", err.Error())
	}
	if settings.Hostname != "" {
		if err := n.SetHostname(settings.Hostname); err != nil {
			n.Logger.Warn("the host name was not set", "reason", err.Error())
		}
	}
	if err := writeResolvConf(n.ResolvConf, settings.NameServers); err != nil {
		n.Logger.Warn("the name servers were not written", "reason", err.Error())
	}
	return nil
}

// Keep renews the lease until ctx ends, which returns nil, or until the lease is lost.
// Then the address is gone and Up must be called again.
func (n *Network) Keep(ctx context.Context) error {
	if n.lease.Expiry >= forever {
		<-ctx.Done()
		return nil
	}
	wait := max(n.lease.Renew-time.Since(n.began), 0)
	for {
		if pause.For(ctx, wait) != nil {
			return nil
		}
		renewed, err := n.renew(ctx)
		if err != nil {
			return n.lost(err)
		}
		if renewed {
			wait = n.lease.Renew
			continue
		}
		var due bool
		if wait, due = n.lease.retry(time.Since(n.began)); !due {
			if pause.For(ctx, n.lease.Expiry-time.Since(n.began)) != nil {
				return nil
			}
			return n.lost(errors.New("no DHCP server renewed it in time"))
		}
	}
}

// renew tries once. A try without an answer is no error: there will be others.
func (n *Network) renew(ctx context.Context) (renewed bool, err error) {
	began := time.Now()
	name := n.link.Attrs().Name
	ack, err := renew(ctx, name, n.ack)
	switch {
	case errors.Is(err, errRefused):
		return false, err
	case err != nil:
		n.Logger.Warn("the lease was not renewed, trying again", "interface", name, "reason", err.Error())
		return false, nil
	case !ack.YourIPAddr.Equal(n.ack.YourIPAddr):
		return false, fmt.Errorf("the DHCP server now gives %s instead of %s", ack.YourIPAddr, n.ack.YourIPAddr)
	}
	// Windows' DHCP server leaves most options out of its answer to a renewal: only
	// the times are taken from it.
	if lease, err := leaseOf(ack); err == nil {
		n.lease = lease
	}
	n.began = began
	n.Logger.Info("lease renewed", "interface", name, "duration", n.lease.Expiry)
	return true, nil
}

func (n *Network) lost(cause error) error {
	name := n.link.Attrs().Name
	if err := flush(n.link); err != nil {
		cause = errors.Join(cause, err)
	}
	return step.Failed("keep the address of "+name, cause, "the DHCP server of the network of "+name)
}
