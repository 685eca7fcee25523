package network

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/step"
)

// wire is a machine's network card, in a namespace of the calling goroutine's thread,
// plugged into a bridge in another one, where DHCP servers run.
type wire struct {
	t    *testing.T
	name string
	mac  net.HardwareAddr
	log  chan string
	// thread is a handle on the machine's namespace.
	thread *os.File
}

const lanAddress = "172.31.8.1"

// newWire moves the test to a namespace of its own, for which it must not be parallel.
// The bridge delays traffic like a switch with spanning tree when stp is set.
func newWire(t *testing.T, stp bool) *wire {
	t.Helper()
	for program, pkg := range map[string]string{"ip": "iproute2", "dnsmasq": "dnsmasq-base"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: install the package %s", program, pkg)
		}
	}
	w := &wire{t: t, name: fmt.Sprintf("net-%d", os.Getpid()), mac: net.HardwareAddr{0x52, 0x54, 0, 0x31, 8, 1}, log: make(chan string, 64)}
	w.ip("netns", "add", w.name)
	t.Cleanup(func() { w.ip("netns", "del", w.name) })
	bridge := []string{"-n", w.name, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0"}
	if stp {
		bridge = []string{"-n", w.name, "link", "add", "br0", "type", "bridge", "stp_state", "1", "forward_delay", "200"}
	}
	w.ip(bridge...)
	w.ip("-n", w.name, "addr", "add", lanAddress+"/24", "dev", "br0")
	w.ip("-n", w.name, "link", "set", "br0", "up")

	runtime.LockOSThread() // never unlocked: the thread and its namespace end with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a namespace: %v: run as root", err)
	}
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	w.thread = own
	t.Cleanup(func() { own.Close() })
	peer, err := os.Open("/run/netns/" + w.name)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "eth0", w.mac
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "port1", PeerNamespace: netlink.NsFd(peer.Fd())}); err != nil {
		t.Fatal(err)
	}
	w.ip("-n", w.name, "link", "set", "port1", "master", "br0")
	return w
}

func (w *wire) ip(args ...string) {
	w.t.Helper()
	if said, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, said)
	}
}

func (w *wire) plug() { w.t.Helper(); w.ip("-n", w.name, "link", "set", "port1", "up") }

// serve starts a DHCP server for a range and returns its end.
func (w *wire) serve(args ...string) func() {
	w.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", w.name, "dnsmasq", "-k", "--conf-file=/dev/null", "--port=0", "--interface=br0",
		"--bind-interfaces", "--user=root", "--no-ping", "--dhcp-authoritative", "--pid-file=", "--log-facility=-",
		"--dhcp-leasefile=" + filepath.Join(w.t.TempDir(), "leases")}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var said bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(stderr, &said))
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			w.t.Fatalf("dnsmasq ended: %s", said.String())
		}
		if strings.Contains(line, "sockets bound") {
			break
		}
	}
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, reader) }()
	ended := false
	stop := func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			<-drained
			_ = cmd.Wait()
			if w.t.Failed() {
				w.t.Log(said.String())
			}
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// network under test; its log lines go to w.log.
func (w *wire) network(hostname *string) *Network {
	return New(Config{
		ResolvConf:  filepath.Join(w.t.TempDir(), "resolv.conf"),
		SetHostname: func(name string) error { *hostname = name; return nil },
		Logger:      slog.New(slog.NewTextHandler(lines(w.log), nil)),
	})
}

type lines chan string

func (l lines) Write(text []byte) (int, error) {
	l <- string(text)
	return len(text), nil
}

// inside returns work that runs on another goroutine in the machine's namespace.
func (w *wire) inside(work func()) func() {
	return func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // never unlocked
			if err := unix.Setns(int(w.thread.Fd()), unix.CLONE_NEWNET); err != nil {
				w.t.Error(err)
				return
			}
			work()
		}()
		<-done
	}
}

// await waits for a log line.
func (w *wire) await(text string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line := <-w.log:
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			w.t.Fatalf("no log line with %q", text)
		}
	}
}

func limit(t *testing.T, duration time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	t.Cleanup(cancel)
	return ctx
}

func TestUp(t *testing.T) {
	w := newWire(t, false)
	w.plug()
	w.serve("--dhcp-range=172.31.8.50,172.31.8.99,255.255.255.0,1h", "--dhcp-host="+w.mac.String()+",172.31.8.77,box",
		"--dhcp-option=3,172.31.8.254", "--dhcp-option=6,172.31.8.3,172.31.8.4", "--dhcp-option=26,1400",
		"--dhcp-option=121,10.99.0.0/16,172.31.8.9,0.0.0.0/0,172.31.8.1")
	var hostname string
	n := w.network(&hostname)
	for range 2 { // a second time, as after a lost lease
		link, err := n.Up(limit(t, 20*time.Second), w.mac)
		if err != nil {
			t.Fatal(err)
		}
		if link.Interface != "eth0" || link.Address != netip.MustParsePrefix("172.31.8.77/24") || hostname != "box" {
			t.Errorf("got %+v, host name %q", link, hostname)
		}
	}
	resolv, err := os.ReadFile(n.ResolvConf)
	if err != nil || string(resolv) != "nameserver 172.31.8.3\nnameserver 172.31.8.4\n" {
		t.Errorf("resolv.conf is %q, %v", resolv, err)
	}
	iface, err := net.InterfaceByName("eth0")
	if err != nil || iface.MTU != 1400 {
		t.Errorf("interface is %+v, %v", iface, err)
	}
	for destination, want := range map[string]string{"10.99.1.1": "172.31.8.9", "8.8.8.8": "172.31.8.1", "172.31.8.5": "<nil>"} {
		routes, err := netlink.RouteGet(net.ParseIP(destination))
		if err != nil || len(routes) != 1 || routes[0].Gw.String() != want {
			t.Errorf("route to %s is %v, %v, want by %s", destination, routes, err, want)
		}
	}
}

func TestUpGatewayOutsideTheSubnet(t *testing.T) {
	w := newWire(t, false)
	w.plug()
	w.serve("--dhcp-range=172.31.8.50,172.31.8.99,255.255.255.0,1h", "--dhcp-option-force=1,255.255.255.255", "--dhcp-option=3,10.1.1.1")
	var hostname string
	if _, err := w.network(&hostname).Up(limit(t, 20*time.Second), w.mac); err != nil {
		t.Fatal(err)
	}
	routes, err := netlink.RouteGet(net.ParseIP("8.8.8.8"))
	if err != nil || len(routes) != 1 || !routes[0].Gw.Equal(net.ParseIP("10.1.1.1")) {
		t.Errorf("route is %v, %v", routes, err)
	}
}

// TestUpWithRoutesThatCannotBeSet: a machine that has just booted over the network registers without it.
func TestUpWithRoutesThatCannotBeSet(t *testing.T) {
	w := newWire(t, false)
	w.plug()
	// No router is at an address of everybody.
	w.serve("--dhcp-range=172.31.8.50,172.31.8.99,255.255.255.0,1h",
		"--dhcp-option=121,10.99.0.0/16,255.255.255.255,10.98.0.0/16,172.31.8.9")
	var hostname string
	if _, err := w.network(&hostname).Up(limit(t, 20*time.Second), w.mac); err != nil {
		t.Fatal(err)
	}
	w.await("not all routes were set")
	routes, err := netlink.RouteGet(net.ParseIP("10.98.1.1"))
	if err != nil || len(routes) != 1 || routes[0].Gw.String() != "172.31.8.9" {
		t.Errorf("route is %v, %v", routes, err)
	}
}

// TestUpBehindSpanningTree has a switch that forwards nothing for four seconds after
// the link comes up.
func TestUpBehindSpanningTree(t *testing.T) {
	w := newWire(t, true)
	w.plug()
	w.serve("--dhcp-range=172.31.8.50,172.31.8.99,255.255.255.0,1h")
	var hostname string
	began := time.Now()
	if _, err := w.network(&hostname).Up(limit(t, 30*time.Second), w.mac); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it took %s only: this test does not test what it says", took)
	}
}

func TestKeepRenews(t *testing.T) {
	w := newWire(t, false)
	w.plug()
	w.serve("--dhcp-range=172.31.8.50,172.31.8.99,255.255.255.0,1h")
	var hostname string
	n := w.network(&hostname)
	if _, err := n.Up(limit(t, 20*time.Second), w.mac); err != nil {
		t.Fatal(err)
	}
	n.lease.Renew = time.Second // no server gives less than minutes
	kept := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go w.inside(func() { kept <- n.Keep(ctx) })()
	w.await("lease renewed")
	cancel()
	if err := <-kept; err != nil {
		t.Errorf("Keep ended with %v", err)
	}
}

func TestKeepLosesTheLease(t *testing.T) {
	w := newWire(t, false)
	w.plug()
	stop := w.serve("--dhcp-range=172.31.8.50,172.31.8.99,255.255.255.0,1h")
	var hostname string
	n := w.network(&hostname)
	if _, err := n.Up(limit(t, 20*time.Second), w.mac); err != nil {
		t.Fatal(err)
	}
	stop()
	// Another network's server refuses the address.
	w.ip("-n", w.name, "addr", "flush", "dev", "br0")
	w.ip("-n", w.name, "addr", "add", "10.77.0.1/24", "dev", "br0")
	w.serve("--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,1h")
	n.lease.Renew = time.Second
	err := n.Keep(limit(t, 20*time.Second))
	var failed *step.Error
	if !errors.As(err, &failed) || !errors.Is(err, errRefused) || failed.Check == "" {
		t.Fatalf("Keep ended with %v", err)
	}
	if list, err := netlink.AddrList(n.link, netlink.FAMILY_V4); err != nil || len(list) != 0 {
		t.Errorf("addresses are %v, %v", list, err)
	}
	link, err := n.Up(limit(t, 20*time.Second), w.mac)
	if err != nil || !netip.MustParsePrefix("10.77.0.0/24").Contains(link.Address.Addr()) {
		t.Errorf("afterwards: %v, %v", link, err)
	}
}

func TestUpFails(t *testing.T) {
	w := newWire(t, false)
	var hostname string
	n := w.network(&hostname)
	for name, test := range map[string]struct {
		mac  net.HardwareAddr
		want string
	}{
		"no such interface": {mac: net.HardwareAddr{2, 0, 0, 0, 0, 9}, want: "there are: eth0 " + w.mac.String()},
		"no carrier":        {mac: w.mac, want: "eth0 has no carrier"},
	} {
		t.Run(name, func(t *testing.T) {
			// The subtest runs on a thread of its own, outside of the namespace.
			var err error
			w.inside(func() { _, err = n.Up(limit(t, 300*time.Millisecond), test.mac) })()
			var failed *step.Error
			if !errors.As(err, &failed) || failed.Check == "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
