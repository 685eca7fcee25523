package dhcp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// The appliance of these tests, in the lab the packets were captured in.
var ours = netip.MustParseAddr("172.30.0.1")

func ingress(port uint16) Ingress {
	return Ingress{Interface: "br0", Address: ours, Port: port, Source: netip.MustParseAddrPort("0.0.0.0:68")}
}

func policy() Policy {
	return Policy{Architectures: DefaultArchitectures(), HTTPPort: 8081}
}

// captured is the payload of testdata/packets/<name>.hex, whose comment says
// where it was captured.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "packets", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "#") {
			digits.WriteString(lines.Text())
		}
	}
	payload, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func parse(t testing.TB, payload []byte) *dhcpv4.DHCPv4 {
	t.Helper()
	packet, err := dhcpv4.FromBytes(payload)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// changed is a captured packet with some fields changed.
func changed(t testing.TB, name string, changes ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	packet := parse(t, captured(t, name))
	for _, change := range changes {
		change(packet)
	}
	return packet
}

// synthetic is a DISCOVER that no captured packet stands for.
func synthetic(changes ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	packet := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        1,
		TransactionID: dhcpv4.TransactionID{1, 2, 3, 4},
		ClientHWAddr:  net.HardwareAddr{0x52, 0x54, 0, 1, 2, 3},
		Options:       dhcpv4.OptionsFromList(dhcpv4.OptMessageType(dhcpv4.MessageTypeDiscover)),
	}
	for _, change := range changes {
		change(packet)
	}
	return packet
}

func with(code uint8, value ...byte) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value))
}

func without(code uint8) dhcpv4.Modifier {
	return func(d *dhcpv4.DHCPv4) { d.DeleteOption(dhcpv4.GenericOptionCode(code)) }
}

func withText(code uint8, text string) dhcpv4.Modifier { return with(code, []byte(text)...) }

func withType(kind dhcpv4.MessageType) dhcpv4.Modifier { return with(53, byte(kind)) }
