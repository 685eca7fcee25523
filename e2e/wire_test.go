//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab/pcap"
)

const (
	dhcpPort       = 67
	bootServerPort = 4011
	tftpPort       = 69
)

// wire is what passed a machine's NIC.
type wire struct {
	datagrams []pcap.Datagram
	bytes     []byte
}

func readWire(t testing.TB, path string) wire {
	t.Helper()

	datagrams, err := pcap.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(path)

	return wire{datagrams, must(t, content, err)}
}

// asked are the DHCP messages that the machine sent to the port. Its NIC hears the broadcasts of others too.
func (w wire) asked(port uint16, machine net.HardwareAddr) []message {
	return w.messages(func(d pcap.Datagram) bool {
		return d.Destination.Port() == port && bytes.Equal(d.FromMAC, machine)
	})
}

// answered are the DHCP messages that the appliance sent from the port.
func (w wire) answered(port uint16) []message {
	return w.messages(func(d pcap.Datagram) bool { return d.Source.Port() == port && fromAppliance(d) })
}

func fromAppliance(d pcap.Datagram) bool {
	return d.Source.Addr() == netip.MustParseAddr(lab.ApplianceAddress)
}

// message is a DHCP message on its way.
type message struct {
	pcap.Datagram
	*dhcpv4.DHCPv4
}

func (w wire) messages(which func(pcap.Datagram) bool) []message {
	var found []message

	for _, datagram := range w.datagrams {
		if !which(datagram) {
			continue
		}

		if parsed, err := dhcpv4.FromBytes(datagram.Payload); err == nil {
			found = append(found, message{datagram, parsed})
		}
	}

	return found
}

// wantsBoot tells whether the message asks for a network boot as a machine of the architecture.
func (m message) wantsBoot(arch iana.Arch) bool { return slices.Contains(m.ClientArch(), arch) }

// plain tells whether the message has nothing to do with booting.
func (m message) plain() bool {
	return len(m.ClientArch()) == 0 && !strings.HasPrefix(m.ClassIdentifier(), "PXEClient") && !strings.HasPrefix(m.ClassIdentifier(), "HTTPClient")
}

// sent tells whether such bytes were in a packet; for TCP, of which package pcap knows nothing.
func (w wire) sent(text string) bool { return bytes.Contains(w.bytes, []byte(text)) }

// Opcodes of RFC 1350 and RFC 2347.
const (
	tftpRead  = 1
	tftpError = 5
	tftpOACK  = 6
)

// tftpAborted is the error that ends a transfer whose options do not suit the client (RFC 2347).
const tftpAborted = 8

// tftp are the datagrams with the opcode to or from the appliance's TFTP port.
func (w wire) tftp(opcode uint16) []pcap.Datagram {
	return slices.DeleteFunc(slices.Clone(w.datagrams), func(d pcap.Datagram) bool {
		ours := d.Destination.Port() == tftpPort || d.Source.Port() == tftpPort

		return !ours || len(d.Payload) < 4 || binary.BigEndian.Uint16(d.Payload) != opcode
	})
}

// reads are the requests for a file. One that firmware repeats, as EDK2 does when the answer is late on a busy
// machine, has the port and the bytes of the one before: it is the same request.
func (w wire) reads(file string) []pcap.Datagram {
	requests := slices.DeleteFunc(w.tftp(tftpRead), func(d pcap.Datagram) bool {
		return !bytes.HasPrefix(d.Payload[2:], []byte(file+"\x00"))
	})

	return slices.CompactFunc(requests, func(a, b pcap.Datagram) bool {
		return a.Source == b.Source && bytes.Equal(a.Payload, b.Payload)
	})
}

// blockSize is the block size that an OACK grants, 0 if it names none.
func blockSize(oack pcap.Datagram) int {
	fields := strings.Split(string(oack.Payload[2:]), "\x00")
	for n := 0; n+1 < len(fields); n += 2 {
		if size, err := strconv.Atoi(fields[n+1]); err == nil && strings.EqualFold(fields[n], "blksize") {
			return size
		}
	}

	return 0
}
