package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
)

const (
	// patience is how long DHCP is tried before it counts as failed: a switch port
	// with spanning tree forwards nothing for its first 30 to 50 seconds.
	patience = 75 * time.Second
	// firstTry and lastTry bound the time given to one DISCOVER. Short, so that the
	// first packet after the port opens is never far away.
	firstTry = time.Second
	lastTry  = 4 * time.Second
)

// offers reports whether a packet is an offer of an address: boot servers beside the
// DHCP server may send offers without one.
func offers(packet *dhcpv4.DHCPv4) bool {
	return packet.MessageType() == dhcpv4.MessageTypeOffer && !packet.YourIPAddr.IsUnspecified()
}

func acknowledges(packet *dhcpv4.DHCPv4) bool {
	return packet.MessageType() == dhcpv4.MessageTypeAck || packet.MessageType() == dhcpv4.MessageTypeNak
}

// client sends on one interface. Its own retries are off: they double the wait, and
// cannot count the seconds that servers and relays look at.
func client(name string) (*nclient4.Client, error) {
	client, err := nclient4.New(name, nclient4.WithTimeout(time.Hour), nclient4.WithRetry(1))
	if err != nil {
		return nil, fmt.Errorf("open DHCP client on %s: %w", name, err)
	}
	return client, nil
}

// request asks for what settingsOf reads, with the client identifier that iPXE sends
// too, so that the server renews iPXE's lease instead of spending a second address.
func request(mac net.HardwareAddr) dhcpv4.Modifier {
	return func(packet *dhcpv4.DHCPv4) {
		packet.UpdateOption(dhcpv4.OptClientIdentifier(append([]byte{1}, mac...)))
		packet.Options.Update(dhcpv4.OptParameterRequestList(
			dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter,
			dhcpv4.OptionDomainNameServer, dhcpv4.OptionHostName, dhcpv4.OptionInterfaceMTU,
		))
	}
}

// acquire gets a lease by DISCOVER and REQUEST, trying until its patience ends.
func acquire(ctx context.Context, name string, mac net.HardwareAddr) (*dhcpv4.DHCPv4, error) {
	dhcp, err := client(name)
	if err != nil {
		return nil, err
	}
	defer dhcp.Close()
	// One transaction throughout: some servers ping an address for seconds before they
	// offer it, and their late answer to an earlier packet is as good as any.
	transaction, err := dhcpv4.GenerateTransactionID()
	if err != nil {
		return nil, fmt.Errorf("make DHCP transaction id: %w", err)
	}
	began := time.Now()
	cause := errors.New("no DHCP server answered")
	for try := firstTry; time.Since(began) < patience; try = min(2*try, lastTry) {
		discover, err := dhcpv4.NewDiscovery(mac, request(mac), dhcpv4.WithTransactionID(transaction))
		if err != nil {
			return nil, fmt.Errorf("make DHCP discover: %w", err)
		}
		discover.NumSeconds = uint16(time.Since(began) / time.Second)
		ack, err := exchange(ctx, dhcp, discover, try)
		if err == nil {
			return ack, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !timedOut(ctx, err) {
			cause = err
			if err := pause.For(ctx, try); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("%w in %s", cause, time.Since(began).Round(time.Second))
}

// exchange is one round of the four packets, each answer due within the limit.
func exchange(ctx context.Context, dhcp *nclient4.Client, discover *dhcpv4.DHCPv4, limit time.Duration) (*dhcpv4.DHCPv4, error) {
	offer, err := send(ctx, dhcp, discover, limit, offers)
	if err != nil {
		return nil, err
	}
	demand, err := dhcpv4.NewRequestFromOffer(offer, request(dhcp.InterfaceAddr()))
	if err != nil {
		return nil, fmt.Errorf("make DHCP request: %w", err)
	}
	demand.NumSeconds = discover.NumSeconds
	ack, err := send(ctx, dhcp, demand, limit, func(packet *dhcpv4.DHCPv4) bool {
		return acknowledges(packet) && packet.ServerIdentifier().Equal(offer.ServerIdentifier())
	})
	return accepted(ack, err)
}

// renew asks, by broadcast, for the lease to go on; whichever server answers.
func renew(ctx context.Context, name string, last *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, error) {
	dhcp, err := client(name)
	if err != nil {
		return nil, err
	}
	defer dhcp.Close()
	demand, err := dhcpv4.NewRenewFromAck(last, request(dhcp.InterfaceAddr()))
	if err != nil {
		return nil, fmt.Errorf("make DHCP request: %w", err)
	}
	ack, err := send(ctx, dhcp, demand, lastTry, acknowledges)
	return accepted(ack, err)
}

// errRefused is a server's NAK.
var errRefused = errors.New("the DHCP server refused the address")

func accepted(ack *dhcpv4.DHCPv4, err error) (*dhcpv4.DHCPv4, error) {
	if err != nil {
		return nil, err
	}
	if ack.MessageType() == dhcpv4.MessageTypeNak {
		return nil, errRefused
	}
	return ack, nil
}

func send(ctx context.Context, dhcp *nclient4.Client, packet *dhcpv4.DHCPv4, limit time.Duration, match nclient4.Matcher) (*dhcpv4.DHCPv4, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return dhcp.SendAndRead(ctx, nclient4.DefaultServers, packet, match)
}
