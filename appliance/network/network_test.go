package network

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	lo      = Interface{Name: "lo", Index: 1, Up: true, Loopback: true, Addresses: prefixes("127.0.0.1/8", "::1/128")}
	lan     = Interface{Name: "eth0", Index: 2, Up: true, Addresses: prefixes("fe80::1/64", "192.168.1.10/24", "192.168.1.11/24")}
	lab     = Interface{Name: "eth1", Index: 3, Up: true, Addresses: prefixes("10.0.0.1/24")}
	off     = Interface{Name: "eth2", Index: 4, Addresses: prefixes("10.9.0.1/24")}
	nothing = Interface{Name: "eth3", Index: 5, Up: true}
	onlyV6  = Interface{Name: "eth4", Index: 6, Up: true, Addresses: prefixes("fd00::1/64")}
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func TestSelect(t *testing.T) {
	tests := []struct {
		name    string
		host    Host
		names   []string
		want    string // names, separated by blanks
		wantErr string
	}{
		{"the default route's", Host{[]Interface{lo, lan, lab}, []Route{{Interface: 3}}}, nil, "eth1", ""},
		{"the default route with the lowest metric", Host{[]Interface{lo, lan, lab}, []Route{{2, 600}, {3, 100}}}, nil, "eth1", ""},
		{"equal metrics: the kernel's order", Host{[]Interface{lo, lan, lab}, []Route{{2, 100}, {3, 100}}}, nil, "eth0", ""},
		{"a default route whose interface is down is passed over", Host{[]Interface{lo, off, lan, lab}, []Route{{4, 1}, {2, 2}}}, nil, "eth0", ""},
		{"a default route without an IPv4 address is passed over", Host{[]Interface{lo, onlyV6, lan}, []Route{{Interface: 6}}}, nil, "eth0", ""},
		{"no route: the only usable one", Host{[]Interface{lo, off, lab, nothing, onlyV6}, nil}, nil, "eth1", ""},
		{"no route, two usable", Host{[]Interface{lo, lan, lab, off, nothing}, nil}, nil, "",
			"there is no default route to tell which network the machines are on: choose with --interface (there are: eth0 fe80::1, eth1 10.0.0.1, eth2 down, eth3 without an address)"},
		{"nothing usable", Host{[]Interface{lo, off}, nil}, nil, "",
			"no network interface is up and has an IPv4 address: configure one, or choose with --interface (there are: eth2 down)"},
		{"nothing at all", Host{[]Interface{lo}, nil}, nil, "", "there are none but the loopback"},
		{"by name, in the order given", Host{[]Interface{lo, lan, lab}, nil}, []string{"eth1", "eth0"}, "eth1 eth0", ""},
		{"by name: the loopback may be asked for", Host{[]Interface{lo}, nil}, []string{"lo"}, "lo", ""},
		{"by name: IPv6 only", Host{[]Interface{lo, onlyV6}, nil}, []string{"eth4"}, "eth4", ""},
		{"by name: missing", Host{[]Interface{lo, lan}, nil}, []string{"enp3s0"}, "",
			"there is no network interface enp3s0: choose one with --interface (there are: eth0 fe80::1)"},
		{"by name: down", Host{[]Interface{lo, off}, nil}, []string{"eth2"}, "", "eth2 is down: switch it on with: ip link set eth2 up"},
		{"by name: no address", Host{[]Interface{lo, nothing}, nil}, []string{"eth3"}, "", "eth3 has no address: give it one with"},
		{"by name: every problem is told", Host{[]Interface{lo, off}, nil}, []string{"eth2", "eth9"}, "", "eth2 is down: switch it on with: ip link set eth2 up\nthere is no network interface eth9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Select(test.host, test.names)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error is\n     %v\nwant %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, i := range got {
				names = append(names, i.Name)
			}
			if s := strings.Join(names, " "); s != test.want {
				t.Errorf("selected %s, want %s", s, test.want)
			}
		})
	}
}

func TestAdvertise(t *testing.T) {
	tests := []struct {
		name     string
		selected []Interface
		wanted   string
		want     string
		wantErr  string
	}{
		{"the first IPv4 address", []Interface{lan, lab}, "", "192.168.1.10", ""},
		{"of the first interface that has one", []Interface{onlyV6, lab}, "", "10.0.0.1", ""},
		{"the one asked for", []Interface{lan}, "10.1.1.1", "10.1.1.1", ""},
		{"IPv6 if asked for", []Interface{onlyV6}, "fd00::1", "fd00::1", ""},
		{"IPv6 not by itself", []Interface{onlyV6}, "", "", "no IPv4 address on eth4: add one, or name the address to use with --advertise-address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var wanted netip.Addr
			if test.wanted != "" {
				wanted = netip.MustParseAddr(test.wanted)
			}
			got, err := Advertise(test.selected, wanted)
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Fatalf("error is %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil || got.String() != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}
}

type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	a, ok := n[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	return a, nil
}

func TestResolve(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fd00::9")
	dns := names{
		"both.lan":   {v6, netip.MustParseAddr("::ffff:10.0.0.9")},
		"v6.lan":     {v6},
		"silent.lan": {},
	}
	tests := []struct{ host, want, wantErr string }{
		{"", "invalid IP", ""},
		{"10.0.0.9", v4.String(), ""},
		{"fd00::9", v6.String(), ""},
		{"both.lan", v4.String(), ""},
		{"v6.lan", v6.String(), ""},
		{"silent.lan", "", "it has no address"},
		{"unknown.lan", "", "look up unknown.lan: no such host: use an IP address"},
	}
	for _, test := range tests {
		got, err := Resolve(t.Context(), dns, test.host)
		if test.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%q: error is %v, want %s", test.host, err, test.wantErr)
			}
			continue
		}
		if err != nil || got.String() != test.want {
			t.Errorf("%q: got %s (%v), want %s", test.host, got, err, test.want)
		}
	}
}

// TestRead builds a small network in a namespace of its own and reads it back.
func TestRead(t *testing.T) {
	enterEmptyNetwork(t)
	ip(t, "link set lo up")
	ip(t, "link add lan0 type veth peer name idle0")
	ip(t, "address add 192.0.2.10/24 dev lan0")
	ip(t, "link set lan0 up")
	ip(t, "route add default via 192.0.2.1 metric 50")
	ip(t, "route add 198.51.100.0/24 via 192.0.2.1")
	ip(t, "route add unreachable default metric 4000")
	host, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Select(host, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Name != "lan0" || got[0].IPv4().String() != "192.0.2.10" {
		t.Errorf("selected %+v, want lan0 with 192.0.2.10", got[0])
	}
	if len(host.DefaultRoutes) != 1 || host.DefaultRoutes[0].Metric != 50 {
		t.Errorf("default routes are %+v, want the one with metric 50", host.DefaultRoutes)
	}
	if _, err := Select(host, []string{"idle0"}); err == nil || !strings.Contains(err.Error(), "idle0 is down") {
		t.Errorf("idle0: error is %v, want that it is down", err)
	}
}

// TestMAC reads a neighbour table in a namespace of its own.
func TestMAC(t *testing.T) {
	enterEmptyNetwork(t)
	ip(t, "link set lo up")
	ip(t, "link add lan0 type veth peer name idle0")
	ip(t, "address add 192.0.2.10/24 dev lan0")
	ip(t, "address add fd00::10/64 dev lan0 nodad")
	ip(t, "link set idle0 up")
	ip(t, "link set lan0 up")
	for _, neighbour := range []string{
		"192.0.2.20 lladdr 02:00:00:00:00:20 nud permanent",
		"192.0.2.21 lladdr 02:00:00:00:00:21 nud stale",
		"192.0.2.22 lladdr 02:00:00:00:00:22 nud reachable",
		"192.0.2.23 lladdr 02:00:00:00:00:23 nud failed", // it was there once, and who has the address now is not known
		"fd00::20 lladdr 02:00:00:00:00:26 nud permanent",
	} {
		ip(t, "neighbour add "+neighbour+" dev lan0")
	}
	ip(t, "neighbour add fe80::1 lladdr 02:00:00:00:00:27 nud permanent dev lan0")
	ip(t, "neighbour add fe80::1 lladdr 02:00:00:00:00:28 nud permanent dev idle0")
	for address, want := range map[string]string{
		"192.0.2.20":    "02:00:00:00:00:20",
		"192.0.2.21":    "02:00:00:00:00:21",
		"192.0.2.22":    "02:00:00:00:00:22",
		"192.0.2.23":    "",
		"192.0.2.10":    "", // this machine
		"192.0.2.99":    "",
		"198.51.100.1":  "", // behind a router
		"127.0.0.1":     "",
		"fd00::20":      "02:00:00:00:00:26",
		"fe80::1%lan0":  "02:00:00:00:00:27",
		"fe80::1%idle0": "02:00:00:00:00:28",
		"fe80::2%lan0":  "",
		"fd00::21":      "",
		"::1":           "",
	} {
		mac, ok, err := MAC(netip.MustParseAddr(address))
		if err != nil || mac != want || ok != (want != "") {
			t.Errorf("%s: %q, %t, %v, want %q", address, mac, ok, err, want)
		}
	}
}

// enterEmptyNetwork moves the test's thread into a new network namespace. The
// thread stays locked, so that the runtime throws it away with the test.
func enterEmptyNetwork(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("run the tests as root: this one makes a network namespace")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make network namespace: %v", err)
	}
}

// ip runs ip(8) of Debian's iproute2 on the thread's namespace.
func ip(t *testing.T, args string) {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s (Debian package iproute2)", args, err, out)
	}
}
