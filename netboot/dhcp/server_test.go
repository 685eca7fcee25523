package dhcp

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/sidero-appliance/sidero-appliance/netboot/internal/declared"
)

// desk is a Server whose packets are handed over by the test.
type desk struct {
	*Server
	t      *testing.T
	log    bytes.Buffer
	events []Event
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t}
	server, err := New(Config{
		Interfaces: []Interface{{Name: "br0", Address: ours}},
		HTTPPort:   8081,
		Log:        slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Observe:    func(e Event) { d.events = append(d.events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Server = server
	return d
}

// put hands over a packet and returns the reply, nil for none.
func (d *desk) put(request *dhcpv4.DHCPv4, port uint16) *dhcpv4.DHCPv4 {
	d.t.Helper()
	var reply *dhcpv4.DHCPv4
	d.handle(request.ToBytes(), ingress(port), func(datagram []byte, _ netip.AddrPort) error {
		reply = parse(d.t, datagram)
		return nil
	})
	return reply
}

func isDirectOffer(offer *dhcpv4.DHCPv4) bool {
	return offer.Options.Has(dhcpv4.OptionVendorSpecificInformation)
}

func TestServerChangesStyleForAClientThatDoesNotFollow(t *testing.T) {
	transaction := func(n byte) dhcpv4.Modifier { return dhcpv4.WithTransactionID(dhcpv4.TransactionID{n}) }
	discover := func(n byte) *dhcpv4.DHCPv4 { return changed(t, "ovmf-pxe-discover", transaction(n)) }

	for _, test := range []struct {
		name   string
		reacts func(*desk)
		direct bool // on the second attempt
	}{
		{"nothing", func(*desk) {}, true},
		{"takes only the LAN's lease", func(d *desk) { d.put(changed(t, "ovmf-pxe-request-to-lan-server"), 67) }, true},
		{"asks 4011", func(d *desk) { d.put(changed(t, "ovmf-pxe-4011-request"), 4011) }, false},
		{"fetches", func(d *desk) {
			d.put(changed(t, "ovmf-pxe-request-to-lan-server"), 67) // asks for 172.30.0.126
			d.Fetched(netip.MustParseAddr("172.30.0.126"))
		}, false},
		{"another machine fetches", func(d *desk) { d.Fetched(netip.MustParseAddr("172.30.0.127")) }, true},
		{"runs the boot program", func(d *desk) { d.put(changed(t, "uefi-snponly-ipxe-discover"), 67) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			if isDirectOffer(d.put(discover(1), 67)) {
				t.Fatal("UEFI is asked to come to 4011 first")
			}
			test.reacts(d)
			if got := isDirectOffer(d.put(discover(2), 67)); got != test.direct {
				t.Errorf("second offer direct: %t, want %t", got, test.direct)
			}
		})
	}
}

func TestServerReportsEveryPacket(t *testing.T) {
	d := newDesk(t)
	d.put(changed(t, "ovmf-pxe-discover", with(97, 1, 2)), 67)
	d.put(changed(t, "uefi-snponly-ipxe-4011-request"), 4011)
	d.put(synthetic(), 67)
	d.put(synthetic(with(93, 0, 11)), 67)
	d.put(synthetic(with(93, 0, 11)), 67)
	d.handle([]byte("noise"), ingress(67), nil)
	d.handle(captured(t, "ovmf-http-discover"), ingress(67), func([]byte, netip.AddrPort) error { return errTest })

	want := map[Counter]uint64{
		{67, OfferedTFTP}: 1, {4011, Acked}: 1, {67, NotNetworkBoot}: 1,
		{67, UnsupportedArchitecture}: 2, {67, MalformedPacket}: 1, {67, SendFailed}: 1,
	}
	if diff := cmp.Diff(want, d.Counters()); diff != "" {
		t.Error(diff)
	}
	first := d.events[0]
	if first.MAC.String() != "52:54:00:f9:d7:05" || first.Arch != 7 || !first.Answered() || first.File != "snp.efi" || first.Warning == "" {
		t.Errorf("event %+v", first)
	}
	second := d.events[1]
	if !second.IPXE || second.UUID != "f9d70525-2c6f-dc1e-9450-85bd321b6474" || second.File != script {
		t.Errorf("event %+v", second)
	}
	if last := d.events[len(d.events)-1]; last.Answered() {
		t.Errorf("a reply that could not be sent counts as answered: %+v", last)
	}
	for line, times := range map[string]int{
		`msg="answered network boot" mac=52:54:00:f9:d7:05 reason=offered-tftp remote=0.0.0.0:68 interface=br0 arch=7 file=snp.efi`: 1,
		`msg="no boot file for this architecture" mac=52:54:00:01:02:03`:                                                            1, // once per machine
		`level=WARN msg="tolerated a malformed dhcp option"`:                                                                        1,
		`level=WARN msg="send dhcp reply"`:                                                                                          1,
		`not-a-network-boot-client`:                                                                                                 0, // debug
	} {
		if got := strings.Count(d.log.String(), line); got != times {
			t.Errorf("%d times %q in the log, want %d:\n%s", got, line, times, d.log.String())
		}
	}
}

func TestReasonsAreComplete(t *testing.T) {
	want, err := declared.Strings(".", "Reason")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, reason := range Reasons() {
		got = append(got, string(reason))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneMachineDoesNotFillTheLog(t *testing.T) {
	d := newDesk(t)
	const times = 100
	for range times {
		d.put(changed(t, "ovmf-pxe-discover"), 67)
		d.put(changed(t, "uefi-snponly-ipxe-discover"), 67)
	}
	if n := strings.Count(d.log.String(), "answered network boot"); n != 2 {
		t.Errorf("%d lines, want one for the firmware and one for iPXE:\n%s", n, d.log.String())
	}
	want := map[Counter]uint64{{67, OfferedTFTP}: times, {67, OfferedScript}: times}
	if diff := cmp.Diff(want, d.Counters()); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	good := Config{Interfaces: []Interface{{Name: "br0"}}, HTTPPort: 8081}
	for name, spoil := range map[string]func(*Config){
		"no interface": func(c *Config) { c.Interfaces = nil },
		"IPv6 address": func(c *Config) { c.Interfaces = []Interface{{Name: "br0", Address: netip.MustParseAddr("fd00::1")}} },
		"no HTTP port": func(c *Config) { c.HTTPPort = 0 },
	} {
		config := good
		spoil(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
