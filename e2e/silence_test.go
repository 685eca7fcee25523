//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// TestSilence sees that who does not ask for a network boot that the appliance can give never hears from it, whatever
// the LAN's own server answers. TestBoot sees the same for the DHCP of a booted kernel.
func TestSilence(t *testing.T) {
	ctx, i := start(t, time.Minute, "--log-level=debug")

	capture, err := i.Lab.CaptureLAN("silence")
	capture = must(t, capture, err)

	guest, err := i.Lab.Attach(ctx, "guest")
	guest = must(t, guest, err)

	// It has an address to send from, which is nothing to DHCP, and a route for broadcasts.
	for _, command := range []string{"address add 172.30.0.200/24 dev eth0", "route add 255.255.255.255 dev eth0"} {
		if err := guest.Run(guest.Command(ctx, "ip", strings.Fields(command)...)); err != nil {
			t.Fatalf("ip %s: %v", command, err)
		}
	}

	socket, err := guest.ListenPacket(ctx, "udp4", "0.0.0.0:68")
	socket = must(t, socket, err)
	t.Cleanup(func() { _ = socket.Close() })

	offers := listenForOffers(socket)
	firmware := func(class string, arch iana.Arch) []dhcpv4.Modifier {
		return []dhcpv4.Modifier{
			dhcpv4.WithOption(dhcpv4.OptClassIdentifier(fmt.Sprintf("%s:Arch:%05d:UNDI:003016", class, arch))),
			dhcpv4.WithOption(dhcpv4.OptClientArch(arch)),
		}
	}

	quietOnes := map[string]asker{
		"a laptop":                 {reason: "not-a-network-boot-client"},
		"a phone":                  {reason: "not-a-network-boot-client", options: []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("android-dhcp-14"))}},
		"Windows":                  {reason: "not-a-network-boot-client", options: []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("MSFT 5.0"))}},
		"32-bit UEFI":              {reason: "unsupported-architecture", options: firmware("PXEClient", iana.EFI_IA32)},
		"Itanium":                  {reason: "unsupported-architecture", options: firmware("PXEClient", iana.EFI_ITANIUM)},
		"32-bit UEFI HTTP":         {reason: "unsupported-architecture", options: firmware("HTTPClient", iana.EFI_X86_HTTP)},
		"one that is not invented": {reason: "unsupported-architecture", options: firmware("PXEClient", 0xfffe)},
	}

	number := byte(0)
	for name, quiet := range quietOnes {
		number++
		quiet.mac = net.HardwareAddr{0x52, 0x54, 0, 0, 1, number}
		quietOnes[name] = quiet
		// the LAN answers everyone, so what was sent has arrived
		quiet.discover(ctx, t, socket, offers, lab.LANAddress)
	}

	// One that is answered: whoever asked before it has been heard by then.
	loud := asker{mac: net.HardwareAddr{0x52, 0x54, 0, 0, 1, 0}, options: firmware("PXEClient", iana.INTEL_X86PC)}
	loud.discover(ctx, t, socket, offers, lab.ApplianceAddress)

	eventually(ctx, t, func() error {
		for name, quiet := range quietOnes {
			if !logged(i, "left dhcp packet unanswered", "mac", quiet.mac.String(), "reason", quiet.reason) &&
				!logged(i, "no boot file for this architecture", "mac", quiet.mac.String(), "reason", quiet.reason) {
				return fmt.Errorf("%s is not in the log with the reason %s", name, quiet.reason)
			}
		}

		return nil
	})

	if err := capture.Stop(); err != nil {
		t.Fatal(err)
	}

	w := readWire(t, capture.Path)
	if answers := w.answered(dhcpPort); len(answers) == 0 {
		t.Error("the capture holds no packet of the appliance")
	}

	for _, answer := range append(w.answered(dhcpPort), w.answered(bootServerPort)...) {
		if answer.ClientHWAddr.String() != loud.mac.String() {
			t.Errorf("the appliance answered: %s", answer.Summary())
		}
	}
}

// asker is a process that stands for a machine with DHCP.
type asker struct {
	mac     net.HardwareAddr
	options []dhcpv4.Modifier
	reason  string // why it gets no answer
}

// discover asks, again from time to time, until the server at the address has answered.
func (a asker) discover(ctx context.Context, t *testing.T, socket net.PacketConn, offers <-chan *dhcpv4.DHCPv4, server string) {
	t.Helper()

	packet, err := dhcpv4.NewDiscovery(a.mac, append(a.options, dhcpv4.WithBroadcast(true))...)
	packet = must(t, packet, err)

	again := time.NewTicker(time.Second)
	defer again.Stop()

	for {
		if _, err := socket.WriteTo(packet.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpPort}); err != nil {
			t.Fatal(err)
		}

		for waiting := true; waiting; {
			select {
			case offer := <-offers:
				if offer.TransactionID == packet.TransactionID && offer.ServerIdentifier().String() == server {
					return
				}
			case <-again.C:
				waiting = false
			case <-ctx.Done():
				t.Fatalf("%s does not answer %s", server, packet.Summary())
			}
		}
	}
}

// listenForOffers reads the socket until it is closed.
func listenForOffers(socket net.PacketConn) <-chan *dhcpv4.DHCPv4 {
	const plenty = 64

	offers := make(chan *dhcpv4.DHCPv4, plenty)

	go func() {
		for buffer := make([]byte, 1<<16); ; {
			n, _, err := socket.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}

			if offer, err := dhcpv4.FromBytes(buffer[:n]); err == nil {
				offers <- offer
			}
		}
	}()

	return offers
}
