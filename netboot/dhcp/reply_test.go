package dhcp

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

const script = "http://172.30.0.1:8081/boot.ipxe"

var skipDiscovery = []byte{6, 1, 8, 255}

// Every reply whole: what each kind of client gets, byte for byte where it
// matters to firmware.
func TestReplyAnswers(t *testing.T) {
	type expected struct {
		Reason       Reason
		Type         dhcpv4.MessageType
		Class        string
		File, Header string // option 67 and the BOOTP field
		Server       string // option 66 and the BOOTP field
		Vendor       []byte // option 43
	}
	tftp := func(class, file string, vendor []byte) expected {
		return expected{OfferedTFTP, dhcpv4.MessageTypeOffer, class, file, file, "172.30.0.1", vendor}
	}
	toScript := func(vendor []byte) expected {
		return expected{OfferedScript, dhcpv4.MessageTypeOffer, "PXEClient", script, script, "", vendor}
	}
	acked := func(e expected) expected {
		e.Reason, e.Type = Acked, dhcpv4.MessageTypeAck
		return e
	}
	httpURL := "http://172.30.0.1:8081/tftp/snp.efi"
	overHTTP := expected{OfferedHTTP, dhcpv4.MessageTypeOffer, "HTTPClient", httpURL, httpURL, "", nil}
	fullIPXE := "http://172.30.0.1:8081/tftp/undionly.kpxe"
	bios := synthetic(with(93, 0, 0), withText(60, "PXEClient:Arch:00000:UNDI:002001"))

	for _, test := range []struct {
		name    string
		request *dhcpv4.DHCPv4
		port    uint16
		style   Style
		want    expected
	}{
		{"BIOS ROM that is not iPXE", bios, 67, StyleUsual, tftp("PXEClient", "undionly.kpxe", skipDiscovery)},
		{"BIOS ROM told to ask 4011", bios, 67, StyleBootServer, tftp("PXEClient", "undionly.kpxe", nil)},
		{"iPXE in a BIOS ROM", changed(t, "bios-rom-ipxe-discover"), 67, StyleUsual, toScript(skipDiscovery)},
		{"iPXE from undionly.kpxe", changed(t, "bios-undionly-ipxe-discover"), 67, StyleUsual, toScript(skipDiscovery)},
		{"iPXE in a BIOS ROM without Linux kernels", changed(t, "bios-rom-ipxe-discover", with(175, 19, 1, 1, 17, 1, 1)), 67, StyleUsual,
			expected{OfferedHTTP, dhcpv4.MessageTypeOffer, "PXEClient", fullIPXE, fullIPXE, "", skipDiscovery}},
		{"iPXE in a BIOS ROM with neither kernels nor HTTP", changed(t, "bios-rom-ipxe-discover", with(175, 17, 1, 1)), 67, StyleUsual, toScript(skipDiscovery)},
		{"iPXE with features cut short", changed(t, "bios-rom-ipxe-discover", with(175, 19, 1, 1, 17, 9)), 67, StyleUsual, toScript(skipDiscovery)},
		{"iPXE after a PXE menu", changed(t, "bios-rom-ipxe-4011-request"), 4011, StyleUsual, acked(toScript(skipDiscovery))},
		{"OVMF PXE", changed(t, "ovmf-pxe-discover"), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"OVMF PXE told to skip 4011", changed(t, "ovmf-pxe-discover"), 67, StyleDirect, tftp("PXEClient", "snp.efi", skipDiscovery)},
		{"OVMF asks 4011", changed(t, "ovmf-pxe-4011-request"), 4011, StyleUsual, acked(tftp("PXEClient", "snp.efi", nil))},
		{"INFORM on 4011", changed(t, "ovmf-pxe-4011-request", withType(dhcpv4.MessageTypeInform)), 4011, StyleUsual, acked(tftp("PXEClient", "snp.efi", nil))},
		{"iPXE from snp.efi", changed(t, "uefi-snponly-ipxe-discover"), 67, StyleUsual, toScript(nil)},
		{"iPXE from snp.efi asks 4011", changed(t, "uefi-snponly-ipxe-4011-request"), 4011, StyleUsual, acked(toScript(nil))},
		{"iPXE 1.0.0 in a UEFI ROM", changed(t, "uefi-rom-ipxe-discover"), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"OVMF HTTP boot", changed(t, "ovmf-http-discover"), 67, StyleUsual, overHTTP},
		{"HTTP boot has no styles", changed(t, "ovmf-http-discover"), 67, StyleDirect, overHTTP},
		{"REQUEST addressed to us", changed(t, "ovmf-pxe-request-to-lan-server", with(54, 172, 30, 0, 1)), 67, StyleUsual, acked(tftp("PXEClient", "snp.efi", nil))},
		{"iPXE by an RFC 3004 user class", synthetic(with(93, 0, 0), with(77, 4, 'i', 'P', 'X', 'E')), 67, StyleUsual, toScript(skipDiscovery)},
		{"iPXE as the second user class", synthetic(with(93, 0, 0), with(77, 1, 'x', 4, 'i', 'P', 'X', 'E')), 67, StyleUsual, toScript(skipDiscovery)},
		{"another user class", synthetic(with(93, 0, 0), with(77, 4, 'k', 'e', 'e', 'p')), 67, StyleUsual, tftp("PXEClient", "undionly.kpxe", skipDiscovery)},
		{"architecture 9", synthetic(with(93, 0, 9)), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"architecture from the option, not the class", synthetic(with(93, 0, 7), withText(60, "PXEClient:Arch:00006:UNDI:003016")), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"architecture from the class alone", synthetic(withText(60, "PXEClient:Arch:00007:UNDI:003016")), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"first supported of several architectures", synthetic(with(93, 0, 6, 0, 7, 0, 0)), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"architecture of one octet", synthetic(with(93, 0)), 67, StyleUsual, tftp("PXEClient", "undionly.kpxe", skipDiscovery)},
		{"architecture with an octet too many", synthetic(with(93, 0, 7, 0)), 67, StyleUsual, tftp("PXEClient", "snp.efi", nil)},
		{"HTTP architecture without a class", synthetic(with(93, 0, 16)), 67, StyleUsual, overHTTP},
	} {
		t.Run(test.name, func(t *testing.T) {
			rules := policy()
			rules.Style = test.style
			reply, reason := Reply(test.request, ingress(test.port), rules)
			if reply == nil {
				t.Fatalf("no reply: %s", reason)
			}
			reply = parse(t, reply.ToBytes())
			got := expected{
				Reason: reason, Type: reply.MessageType(), Class: reply.ClassIdentifier(),
				File: reply.BootFileNameOption(), Header: reply.BootFileName,
				Server: reply.TFTPServerName(),
				Vendor: reply.Options.Get(dhcpv4.OptionVendorSpecificInformation),
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			checkEveryReply(t, test.request, reply)
		})
	}
}

// checkEveryReply holds what is the same in all of them.
func checkEveryReply(t *testing.T, request, reply *dhcpv4.DHCPv4) {
	t.Helper()
	if reply.ServerHostName != reply.TFTPServerName() {
		t.Errorf("sname %q, option 66 %q", reply.ServerHostName, reply.TFTPServerName())
	}
	if !reply.ServerIPAddr.Equal(ours.AsSlice()) || !reply.ServerIdentifier().Equal(ours.AsSlice()) {
		t.Errorf("siaddr %s, server identifier %s, want both %s", reply.ServerIPAddr, reply.ServerIdentifier(), ours)
	}
	if !reply.YourIPAddr.IsUnspecified() {
		t.Errorf("a proxy offered the address %s", reply.YourIPAddr)
	}
	if reply.OpCode != dhcpv4.OpcodeBootReply || reply.TransactionID != request.TransactionID ||
		reply.Flags != request.Flags || reply.HWType != request.HWType || !bytes.Equal(reply.ClientHWAddr, request.ClientHWAddr) {
		t.Errorf("header does not match the request:\n%s", reply.Summary())
	}
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionClientMachineIdentifier, dhcpv4.OptionClientIdentifier, dhcpv4.OptionRelayAgentInformation} {
		if !bytes.Equal(reply.Options.Get(code), request.Options.Get(code)) {
			t.Errorf("%s was not echoed", code)
		}
	}
	allowed := []uint8{43, 53, 54, 60, 61, 66, 67, 82, 97}
	for code := range maps.Keys(reply.Options) {
		if !slices.Contains(allowed, code) {
			t.Errorf("option %d has no business in a proxy's reply", code)
		}
	}
	if size := len(reply.ToBytes()); size < 300 {
		t.Errorf("%d bytes, RFC 951 wants 300", size)
	}
}

func TestReplySilence(t *testing.T) {
	windows := synthetic(withText(60, "MSFT 5.0"), withText(12, "desktop"), with(55, 1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252))
	for _, test := range []struct {
		name    string
		request *dhcpv4.DHCPv4
		port    uint16
		want    Reason
	}{
		{"Windows", windows, 67, NotNetworkBoot},
		{"the agent's own DHCP", synthetic(with(55, 1, 3, 6)), 67, NotNetworkBoot},
		{"the agent on 4011", synthetic(withType(dhcpv4.MessageTypeRequest)), 4011, NotNetworkBoot},
		{"a class that only mentions PXE", synthetic(withText(60, "not a PXEClient")), 67, NotNetworkBoot},
		{"another server's offer", changed(t, "ovmf-pxe-discover", func(d *dhcpv4.DHCPv4) { d.OpCode = dhcpv4.OpcodeBootReply }), 67, NotBootRequest},
		{"BOOTP", changed(t, "ovmf-pxe-discover", without(53)), 67, NoMessageType},
		{"REQUEST for the LAN's server", changed(t, "ovmf-pxe-request-to-lan-server"), 67, NotForUs},
		{"REQUEST for nobody, a renewal", changed(t, "ovmf-pxe-request-to-lan-server", without(54)), 67, NotForUs},
		{"DISCOVER on 4011", changed(t, "ovmf-pxe-discover"), 4011, UnexpectedMessageType},
		{"INFORM on 67", changed(t, "ovmf-pxe-discover", withType(dhcpv4.MessageTypeInform)), 67, UnexpectedMessageType},
		{"RELEASE", changed(t, "ovmf-pxe-discover", withType(dhcpv4.MessageTypeRelease)), 67, UnexpectedMessageType},
		{"message type out of range", changed(t, "ovmf-pxe-discover", withType(77)), 67, UnexpectedMessageType},
		{"PXEClient without an architecture", synthetic(withText(60, "PXEClient")), 67, NoArchitecture},
		{"PXEClient with words for an architecture", synthetic(withText(60, "PXEClient:Arch:arm64:UNDI")), 67, NoArchitecture},
		{"PXEClient cut short", synthetic(withText(60, "PXEClient:Arch:000")), 67, NoArchitecture},
		{"empty architecture option beats the class", synthetic(with(93), withText(60, "PXEClient:Arch:00007:UNDI:003016")), 67, NoArchitecture},
		{"PXEClient of an HTTP architecture", synthetic(with(93, 0, 16), withText(60, "PXEClient:Arch:00016:UNDI:003000")), 67, UnsupportedArchitecture},
		{"HTTPClient of a PXE architecture", synthetic(with(93, 0, 7), withText(60, "HTTPClient:Arch:00007:UNDI:003000")), 67, UnsupportedArchitecture},
		{"iPXE of another architecture", changed(t, "uefi-snponly-ipxe-discover", with(93, 0, 11)), 67, UnsupportedArchitecture},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply, reason := Reply(test.request, ingress(test.port), policy())
			if reply != nil || reason != test.want {
				t.Errorf("got %s, want silence for %s; reply %v", reason, test.want, reply)
			}
		})
	}
}

// Every architecture number there can be, on both ports and in both classes:
// only rows of the table are answered.
func TestReplyArchitectures(t *testing.T) {
	answered := map[string][]int{classPXE: {0, 7, 9}, classHTTP: {16}}
	for class, wanted := range answered {
		for port, kind := range map[uint16]dhcpv4.MessageType{67: dhcpv4.MessageTypeDiscover, 4011: dhcpv4.MessageTypeRequest} {
			var got []int
			for arch := range 1 << 16 {
				request := synthetic(with(93, byte(arch>>8), byte(arch)), withText(60, class), withType(kind))
				reply, reason := Reply(request, ingress(port), policy())
				switch {
				case reply != nil:
					got = append(got, arch)
				case reason != UnsupportedArchitecture:
					t.Fatalf("architecture %d: %s", arch, reason)
				}
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("%s on %d: %s", class, port, diff)
			}
		}
	}
}

func TestReplyWithoutAddress(t *testing.T) {
	for _, address := range []netip.Addr{{}, netip.MustParseAddr("2001:db8::1")} {
		in := ingress(67)
		in.Address = address
		if reply, reason := Reply(changed(t, "ovmf-pxe-discover"), in, policy()); reply != nil || reason != NoAddress {
			t.Errorf("address %s: got %s", address, reason)
		}
	}
}

func TestReplyAdvertisesTheInterfaceItCameInOn(t *testing.T) {
	in := ingress(67)
	in.Address = netip.MustParseAddr("10.9.8.7")
	reply, _ := Reply(changed(t, "uefi-snponly-ipxe-discover"), in, policy())
	if got, want := reply.BootFileNameOption(), "http://10.9.8.7:8081/boot.ipxe"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReplyLongURLStaysOutOfTheHeader(t *testing.T) {
	long := "/tftp/" + fmt.Sprintf("%0200d", 0)
	rules := policy()
	rules.Architectures = Architectures{iana.EFI_X86_64_HTTP: {HTTP: long}}
	reply, _ := Reply(changed(t, "ovmf-http-discover"), ingress(67), rules)
	reply = parse(t, reply.ToBytes())
	if reply.BootFileName != "" || reply.BootFileNameOption() != "http://172.30.0.1:8081"+long {
		t.Errorf("header %q, option %q", reply.BootFileName, reply.BootFileNameOption())
	}
}

func TestReplyTakesAnyGUID(t *testing.T) {
	for _, guid := range [][]byte{nil, {}, {0}, bytes.Repeat([]byte{7}, 17), bytes.Repeat([]byte{1}, 300)} {
		request := changed(t, "ovmf-pxe-discover", without(97))
		if guid != nil {
			with(97, guid...)(request)
		}
		reply, reason := Reply(request, ingress(67), policy())
		if reason != OfferedTFTP {
			t.Fatalf("GUID %x: %s", guid, reason)
		}
		got := parse(t, reply.ToBytes()).Options.Get(dhcpv4.OptionClientMachineIdentifier)
		if !bytes.Equal(got, guid) {
			t.Errorf("GUID %x came back as %x", guid, got)
		}
	}
}

func TestReplyToRelay(t *testing.T) {
	relay := net.IPv4(10, 1, 2, 3)
	request := changed(t, "ovmf-pxe-discover", with(82, 1, 4, 'e', 't', 'h', '1'), dhcpv4.WithRelay(relay))
	reply, _ := Reply(request, ingress(67), policy())
	if !reply.GatewayIPAddr.Equal(relay) {
		t.Errorf("giaddr %s, want %s", reply.GatewayIPAddr, relay)
	}
	wire := reply.ToBytes()
	end := bytes.LastIndexByte(wire, 255)
	if tail := wire[end-8 : end]; !bytes.Equal(tail, []byte{82, 6, 1, 4, 'e', 't', 'h', '1'}) {
		t.Errorf("option 82 is not last, as RFC 3046 wants: % x", tail)
	}
}

func TestDestination(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, test := range []struct {
		name    string
		request *dhcpv4.DHCPv4
		port    uint16
		source  string
		want    string
	}{
		{"no address yet", synthetic(), 67, "0.0.0.0:68", "255.255.255.255:68"},
		{"no address, broadcast flag", synthetic(dhcpv4.WithBroadcast(true)), 67, "0.0.0.0:68", "255.255.255.255:68"},
		{"has an address", synthetic(dhcpv4.WithClientIP(net.IPv4(172, 30, 0, 60))), 67, "172.30.0.60:68", "172.30.0.60:68"},
		{"relayed", synthetic(dhcpv4.WithRelay(net.IPv4(10, 1, 2, 3))), 67, "10.1.2.3:67", "10.1.2.3:67"},
		{"relayed from another port", synthetic(dhcpv4.WithRelay(net.IPv4(10, 1, 2, 3))), 67, "10.1.2.3:32768", "10.1.2.3:67"},
		{"relayed with an address", synthetic(dhcpv4.WithRelay(net.IPv4(10, 1, 2, 3)), dhcpv4.WithClientIP(net.IPv4(10, 1, 2, 60))), 67, "10.1.2.3:67", "10.1.2.3:67"},
		{"OVMF on 4011", synthetic(), 4011, "172.30.0.126:4011", "172.30.0.126:4011"},
		{"iPXE on 4011", synthetic(), 4011, "172.30.0.77:68", "172.30.0.77:68"},
		{"4011 without an address", synthetic(), 4011, "0.0.0.0:68", "255.255.255.255:68"},
		{"4011 behind a router", synthetic(dhcpv4.WithRelay(net.IPv4(10, 1, 2, 3))), 4011, "10.1.2.60:4011", "10.1.2.60:4011"},
	} {
		in := ingress(test.port)
		in.Source = at(test.source)
		if got := Destination(test.request, in); got != at(test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestGUIDInSMBIOSOrder(t *testing.T) {
	// The lab's machine was started with this -uuid.
	const want = "f9d70525-2c6f-dc1e-9450-85bd321b6474"
	if got, ok := guidOf(changed(t, "ovmf-pxe-discover")); got != want || !ok {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, ok := guidOf(synthetic()); got != "" || !ok {
		t.Errorf("without option 97: got %q, %t", got, ok)
	}
	if got, ok := guidOf(synthetic(with(97, 1, 2, 3))); got != "" || ok {
		t.Errorf("malformed option 97: got %q, %t", got, ok)
	}
}

func BenchmarkReply(b *testing.B) {
	payload := captured(b, "ovmf-pxe-discover")
	in, rules := ingress(67), policy()
	b.ReportAllocs()
	for b.Loop() {
		request, err := dhcpv4.FromBytes(payload)
		if err != nil {
			b.Fatal(err)
		}
		reply, _ := Reply(request, in, rules)
		reply.ToBytes()
	}
}
