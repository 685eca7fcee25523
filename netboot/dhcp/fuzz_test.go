package dhcp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// FuzzReply throws any datagram at the way from the wire to the reply.
func FuzzReply(f *testing.F) {
	files, err := os.ReadDir(filepath.Join("testdata", "packets"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		payload := captured(f, strings.TrimSuffix(file.Name(), ".hex"))
		f.Add(payload, strings.Contains(file.Name(), "4011"), false)
		f.Add(payload[:len(payload)/2], false, true)
	}
	f.Add(changed(f, "ovmf-pxe-discover", with(93, 0, 11)).ToBytes(), false, false)
	f.Add(synthetic(with(77, 200, 'i')).ToBytes(), false, true)
	f.Add(synthetic(with(82, bytes.Repeat([]byte{82}, 600)...), with(93, 0, 7)).ToBytes(), true, false)
	f.Add([]byte{}, false, false)

	f.Fuzz(func(t *testing.T, datagram []byte, bootServer, direct bool) {
		request, err := dhcpv4.FromBytes(datagram)
		if err != nil {
			return
		}
		in, rules := ingress(PortServer), policy()
		if bootServer {
			in.Port = PortBootServer
		}
		if direct {
			rules.Style = StyleDirect
		}
		event := eventOf(request, in, rules.Architectures)
		reply, reason := Reply(request, in, rules)
		if reason == "" {
			t.Fatal("no reason")
		}
		if !Destination(request, in).IsValid() {
			t.Fatal("nowhere to send a reply")
		}
		if reply == nil {
			return
		}
		class := request.ClassIdentifier()
		if !request.Options.Has(dhcpv4.OptionClientSystemArchitectureType) &&
			!strings.HasPrefix(class, "PXEClient") && !strings.HasPrefix(class, "HTTPClient") {
			t.Fatalf("answered a client that does not boot from the network: %s", request.Summary())
		}
		if _, known := rules.Architectures[event.Arch]; !known || !event.ArchKnown {
			t.Fatalf("answered architecture %d", event.Arch)
		}
		checkEveryReply(t, request, parse(t, reply.ToBytes()))
	})
}
