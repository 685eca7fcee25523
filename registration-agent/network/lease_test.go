package network

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func ack(t *testing.T, address string, options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	t.Helper()
	packet, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeAck), dhcpv4.WithYourIP(net.ParseIP(address)))
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range options {
		packet.UpdateOption(option)
	}
	return packet
}

func mask(bits int) dhcpv4.Option { return dhcpv4.OptSubnetMask(net.CIDRMask(bits, 32)) }

func static(text ...string) dhcpv4.Option {
	var routes []*dhcpv4.Route
	for i := 0; i < len(text); i += 2 {
		_, destination, err := net.ParseCIDR(text[i])
		if err != nil {
			panic(err)
		}
		routes = append(routes, &dhcpv4.Route{Dest: destination, Router: net.ParseIP(text[i+1])})
	}
	return dhcpv4.OptClasslessStaticRoute(routes...)
}

func route(destination, gateway string) Route {
	r := Route{Destination: netip.MustParsePrefix(destination)}
	if gateway != "" {
		r.Gateway = netip.MustParseAddr(gateway)
	}
	return r
}

func TestSettings(t *testing.T) {
	router := dhcpv4.OptRouter(net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2))
	for name, test := range map[string]struct {
		ack  *dhcpv4.DHCPv4
		want Settings
		err  string
	}{
		"all of it": {
			ack: ack(t, "10.0.0.50", mask(24), router, dhcpv4.OptDNS(net.IPv4(10, 0, 0, 3), net.IPv4zero), dhcpv4.OptHostName("node1"),
				dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{0x23, 0x28})),
			want: Settings{Address: netip.MustParsePrefix("10.0.0.50/24"), MTU: 9000, Hostname: "node1",
				Routes: []Route{route("0.0.0.0/0", "10.0.0.1")}, NameServers: []netip.Addr{netip.MustParseAddr("10.0.0.3")}},
		},
		"static routes replace the router, those on the link first": {
			ack: ack(t, "10.0.0.50", mask(32), router, static("0.0.0.0/0", "10.9.9.9", "10.9.9.9/32", "0.0.0.0")),
			want: Settings{Address: netip.MustParsePrefix("10.0.0.50/32"),
				Routes: []Route{route("10.9.9.9/32", ""), route("0.0.0.0/0", "10.9.9.9")}},
		},
		"no mask: the class's": {
			ack:  ack(t, "192.168.7.5"),
			want: Settings{Address: netip.MustParsePrefix("192.168.7.5/24")},
		},
		"an absurd MTU is left out": {
			ack:  ack(t, "10.0.0.50", mask(8), dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{0, 1})),
			want: Settings{Address: netip.MustParsePrefix("10.0.0.50/8")},
		},
		"a host name that is no text": {
			ack:  ack(t, "10.0.0.50", mask(8), dhcpv4.OptGeneric(dhcpv4.OptionHostName, []byte("B\xfcro-PC"))),
			want: Settings{Address: netip.MustParsePrefix("10.0.0.50/8")},
		},
		"no address":        {ack: ack(t, "0.0.0.0", mask(24)), err: "not an address"},
		"multicast":         {ack: ack(t, "224.0.0.1", mask(24)), err: "not an address"},
		"broken mask":       {ack: ack(t, "10.0.0.50", dhcpv4.OptSubnetMask(net.IPMask{255, 0, 255, 0})), err: "not a subnet mask"},
		"mask of all zeros": {ack: ack(t, "10.0.0.50", dhcpv4.OptSubnetMask(net.IPMask{0, 0, 0, 0})), err: "not a subnet mask"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := settingsOf(test.ack)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestLease(t *testing.T) {
	seconds := func(code dhcpv4.OptionCode, n byte) dhcpv4.Option { return dhcpv4.OptGeneric(code, []byte{0, 0, 0, n}) }
	total := seconds(dhcpv4.OptionIPAddressLeaseTime, 200)
	for name, test := range map[string]struct {
		options []dhcpv4.Option
		want    Lease
		fails   bool
	}{
		"half of it by default": {options: []dhcpv4.Option{total}, want: Lease{100 * time.Second, 200 * time.Second}},
		"T1 of the server":      {options: []dhcpv4.Option{total, seconds(dhcpv4.OptionRenewTimeValue, 20)}, want: Lease{20 * time.Second, 200 * time.Second}},
		"T1 beyond the end":     {options: []dhcpv4.Option{total, seconds(dhcpv4.OptionRenewTimeValue, 201)}, want: Lease{100 * time.Second, 200 * time.Second}},
		"T1 of nothing":         {options: []dhcpv4.Option{total, seconds(dhcpv4.OptionRenewTimeValue, 0)}, want: Lease{100 * time.Second, 200 * time.Second}},
		"no lease time":         {fails: true},
		"a lease that is over":  {options: []dhcpv4.Option{seconds(dhcpv4.OptionIPAddressLeaseTime, 0)}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := leaseOf(ack(t, "10.0.0.1", test.options...))
			if (err != nil) != test.fails || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	hour := Lease{Renew: 30 * time.Minute, Expiry: time.Hour}
	for age, want := range map[time.Duration]time.Duration{
		30 * time.Minute:                15 * time.Minute,
		56 * time.Minute:                2 * time.Minute,
		58*time.Minute + 30*time.Second: time.Minute,
		59 * time.Minute:                0, // too late
		59*time.Minute + 30*time.Second: 0,
		2 * time.Hour:                   0,
	} {
		got, due := hour.retry(age)
		if due != (want > 0) || due && got != want {
			t.Errorf("at %s: got %s %v, want %s", age, got, due, want)
		}
	}
}
