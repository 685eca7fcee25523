//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab/pcap"
	"github.com/sidero-appliance/sidero-appliance/netboot/snippet"
)

// TestBootOff boots machines beside an appliance that answers no DHCP: what it prints for dnsmasq, given to the LAN's
// dnsmasq, is all they are told; and one of legacy BIOS on a LAN that names undionly.kpxe to everybody, even to that.
func TestBootOff(t *testing.T) {
	lines := dnsmasqSnippet(t)
	ctx, i := startOn(t, bootsWithin, installation.Config{Args: []string{"--dhcp=off", "--log-level=debug"}, LAN: lines})

	for _, machine := range lab.Presets() {
		t.Run(machine.Name, func(t *testing.T) {
			t.Parallel()

			b := bootOff(ctx, t, i, machine)
			b.checkLed(t)
		})
	}

	t.Run("one name for all", func(t *testing.T) {
		t.Parallel()

		ctx, i := startOn(t, bootsWithin, installation.Config{
			Args: []string{"--dhcp=off", "--log-level=debug"},
			LAN:  "dhcp-boot=http://" + installation.Endpoint + "/tftp/undionly.kpxe\n",
		})

		b := bootOff(ctx, t, i, lab.Machine{Name: "bios", Firmware: lab.BIOS})
		b.checkChained(ctx, t)
	})
}

// dnsmasqSnippet is the text for dnsmasq that an appliance in the lab prints.
func dnsmasqSnippet(t *testing.T) string {
	t.Helper()

	endpoint := netip.MustParseAddrPort(installation.Endpoint)
	for _, s := range snippet.Texts(snippet.Values{Address: endpoint.Addr(), HTTPPort: endpoint.Port()}) {
		if s.Server == "dnsmasq" {
			return s.Text
		}
	}

	t.Fatal("there is no snippet for dnsmasq")

	return ""
}

// bootOff boots the machine until it is a Server, and sees that the appliance has sent no DHCP.
func bootOff(ctx context.Context, t *testing.T, i *installation.Installation, machine lab.Machine) *booting {
	t.Helper()

	b := &booting{Installation: i, client: admin(t, i), machine: machine.WithDefaults()}
	b.machine.Capture = true
	b.powerOn(ctx, t)
	server(ctx, t, b.client, b.machine.UUID.String())

	if err := b.vm.PowerOff(); err != nil {
		t.Fatal(err)
	}

	w := readWire(t, b.vm.CapturePath())
	for _, answer := range append(w.answered(dhcpPort), w.answered(bootServerPort)...) {
		t.Errorf("the appliance answered DHCP: %s", answer.Summary())
	}

	return b
}

// checkLed sees that the LAN's DHCP server named the file that the proxy would have named, and that it was loaded.
func (b *booting) checkLed(t *testing.T) {
	t.Helper()

	const site = "http://" + installation.Endpoint

	led := map[lab.Firmware]struct {
		file   string
		class  string // of the answer; PXE does not insist
		loaded bool
	}{
		lab.BIOS:     {site + "/boot.ipxe", "", b.served(t, "/boot.ipxe")}, // QEMU's card holds iPXE
		lab.UEFI:     {"snp.efi", "", b.sentOverTFTP(t, "snp.efi")},
		lab.UEFIHTTP: {site + "/tftp/snp.efi", "HTTPClient", b.served(t, "/tftp/snp.efi")},
	}[b.machine.Firmware]

	named := slices.ContainsFunc(readWire(t, b.vm.CapturePath()).messages(fromLAN), func(m message) bool {
		return bytes.Equal(m.ClientHWAddr, b.machine.MAC) && (led.class == "" || m.ClassIdentifier() == led.class) &&
			(m.BootFileNameOption() == led.file || m.BootFileName == led.file)
	})
	if !named {
		t.Errorf("the LAN did not name %s", led.file)
	}

	if !led.loaded {
		t.Errorf("%s was not loaded", led.file)
	}
}

func fromLAN(d pcap.Datagram) bool {
	return d.Source == netip.AddrPortFrom(netip.MustParseAddr(lab.LANAddress), dhcpPort)
}

// checkChained sees that undionly.kpxe was loaded by HTTP and ran.
func (b *booting) checkChained(ctx context.Context, t *testing.T) {
	t.Helper()

	// The card's ROM says 1.0.0.
	if _, err := b.vm.WaitConsole(ctx, `iPXE 1\.21\.1`); err != nil {
		t.Error(err)
	}

	if !b.served(t, "/tftp/undionly.kpxe") {
		t.Error("undionly.kpxe was not loaded by HTTP")
	}
}
