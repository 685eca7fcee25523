package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/netboot/internal/isolated"
)

var errTest = errors.New("cable out")

// The tests of this file run a real server on one end of a veth and its clients
// in another network namespace on the other end.

func command(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	output, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%v: install Debian's iproute2, util-linux and kea-admin", err)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, output)
	}
	return string(output)
}

// lan is two network namespaces joined by a veth: v0 here, with two addresses,
// of which the second is advertised, and v1 on the clients' side.
type lan struct {
	t       *testing.T
	clients *os.File // holds the clients' namespace
}

const (
	advertised = "172.31.0.1"
	relayAt    = "172.31.0.2"
)

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{t: t, clients: newNamespace(t)}
	command(t, "ip link set lo up")
	l.plug()
	return l
}

// newNamespace makes a network namespace that lives as long as its file is open. A process that holds it would not do:
// with Pdeathsig it ends when the thread that started it does, and socket ends threads.
func newNamespace(t *testing.T) *os.File {
	t.Helper()
	var namespace *os.File
	var err error
	onThreadOfItsOwn(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			namespace, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { namespace.Close() })
	return namespace
}

// onThreadOfItsOwn runs work that changes its thread's namespace; the thread ends with it.
func onThreadOfItsOwn(work func()) {
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread()
		work()
	})
	done.Wait()
}

// path names the clients' namespace to other programs.
func (l *lan) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.clients.Fd()) }

// plug makes the veth.
func (l *lan) plug() {
	l.t.Helper()
	command(l.t, "ip link add v0 type veth peer name v1 netns "+l.path())
	command(l.t, "ip addr add 172.31.0.9/16 dev v0")
	command(l.t, "ip addr add "+advertised+"/16 dev v0")
	command(l.t, "ip link set v0 up")
	l.onClients("ip link set v1 up")
	l.onClients("ip addr add " + relayAt + "/16 dev v1")
	// The kernel drops what is sent before it has seen the link come up, which can take it a second.
	until(l.t, "the veth is up", func() bool {
		return strings.Contains(command(l.t, "ip link show v0"), "state UP") && strings.Contains(l.onClients("ip link show v1"), "state UP")
	})
}

func (l *lan) onClients(line string) string {
	l.t.Helper()
	return command(l.t, "nsenter --net="+l.path()+" "+line)
}

// socket opens a UDP socket on the clients' side, bound to their interface.
func (l *lan) socket(address string) *net.UDPConn {
	l.t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failure error
		raw.Control(func(fd uintptr) { failure = bindToDevice(int(fd), "v1") })
		return failure
	}}
	var conn net.PacketConn
	var err error
	onThreadOfItsOwn(func() {
		if err = unix.Setns(int(l.clients.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = config.ListenPacket(context.Background(), "udp4", address)
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

func send(t *testing.T, from *net.UDPConn, to string, packet []byte) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort(packet, netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// receive waits for a reply and checks who sent it.
func receive(t *testing.T, at *net.UDPConn, from string) *dhcpv4.DHCPv4 {
	t.Helper()
	buffer := make([]byte, 2000)
	at.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, sender, err := at.ReadFromUDPAddrPort(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if sender.String() != from {
		t.Errorf("the reply came from %s, want %s", sender, from)
	}
	return parse(t, buffer[:n])
}

// serve runs a server on v0 until the test ends.
func serve(t *testing.T, configure func(*Config)) *Server {
	t.Helper()
	config := Config{
		Interfaces: []Interface{{Name: "v0", Address: netip.MustParseAddr(advertised)}},
		HTTPPort:   8081,
		Log:        slog.New(slog.DiscardHandler),
	}
	configure(&config)
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	// Longer than any pause of a client here: it has to be kept without one.
	server.check = 200 * time.Millisecond
	if err := server.Ready(t.Context()); err == nil {
		t.Error("ready before it listens")
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if server.Ready(context.Background()) == nil {
			t.Error("ready after it ended")
		}
	})
	until(t, "the server is ready", func() bool { return server.Ready(t.Context()) == nil })
	return server
}

// until polls a condition; there is nothing to be notified by.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestServerOnTheWire(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	network := newLAN(t)
	server := serve(t, func(*Config) {})
	client := network.socket("0.0.0.0:68")

	// Neither noise nor a client that does not boot gets anything: the first
	// reply that arrives belongs to the last packet.
	send(t, client, "255.255.255.255:67", []byte("noise"))
	send(t, client, "255.255.255.255:67", synthetic().ToBytes())
	send(t, client, "255.255.255.255:67", captured(t, "ovmf-pxe-discover"))
	offer := receive(t, client, advertised+":67")
	if offer.MessageType() != dhcpv4.MessageTypeOffer || offer.BootFileName != "snp.efi" || !offer.ServerIPAddr.Equal(net.ParseIP(advertised)) {
		t.Errorf("offer %s", offer.Summary())
	}

	// OVMF asks 4011 from 4011 and listens there.
	firmware := network.socket(relayAt + ":4011")
	send(t, firmware, advertised+":4011", captured(t, "ovmf-pxe-4011-request"))
	if ack := receive(t, firmware, advertised+":4011"); ack.MessageType() != dhcpv4.MessageTypeAck || ack.BootFileName != "snp.efi" {
		t.Errorf("ack %s", ack.Summary())
	}

	// A relay gets its answer on port 67, with its option 82.
	relay := network.socket(relayAt + ":67")
	circuit := []byte{1, 2, 'p', '7'}
	relayed := changed(t, "ovmf-http-discover", with(82, circuit...), dhcpv4.WithRelay(net.ParseIP(relayAt)))
	send(t, relay, advertised+":67", relayed.ToBytes())
	offer = receive(t, relay, advertised+":67")
	if got, want := offer.BootFileNameOption(), "http://"+advertised+":8081/tftp/snp.efi"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := offer.Options.Get(dhcpv4.OptionRelayAgentInformation); string(got) != string(circuit) {
		t.Errorf("option 82 came back as %x", got)
	}

	// An answer is counted after it is sent.
	want := map[Counter]uint64{
		{67, MalformedPacket}: 1, {67, NotNetworkBoot}: 1, {67, OfferedTFTP}: 1, {67, OfferedHTTP}: 1, {4011, Acked}: 1,
	}
	until(t, "all is counted", func() bool { return server.Counters()[Counter{67, OfferedHTTP}] > 0 })
	if diff := cmp.Diff(want, server.Counters()); diff != "" {
		t.Error(diff)
	}
}

func TestServerAdvertisesAnAddressThatIsNotItsOwn(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	network := newLAN(t)
	serve(t, func(c *Config) { c.Interfaces[0].Address = netip.MustParseAddr("10.255.0.1") })
	relay := network.socket(relayAt + ":67")
	send(t, relay, advertised+":67", changed(t, "ovmf-pxe-discover", dhcpv4.WithRelay(net.ParseIP(relayAt))).ToBytes())
	if offer := receive(t, relay, "172.31.0.9:67"); !offer.ServerIdentifier().Equal(net.IPv4(10, 255, 0, 1)) {
		t.Errorf("offer %s", offer.Summary())
	}
}

func TestServerOutlivesItsInterface(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	network := newLAN(t)
	serve(t, func(c *Config) { c.Interfaces[0].Address = netip.Addr{} }) // the interface's first
	answered := func(from string) func() bool {
		client := network.socket("0.0.0.0:68")
		return func() bool {
			_, err := client.WriteToUDPAddrPort(captured(t, "uefi-snponly-ipxe-discover"), netip.MustParseAddrPort("255.255.255.255:67"))
			if err != nil {
				return false
			}
			buffer := make([]byte, 2000)
			client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			n, _, err := client.ReadFromUDPAddrPort(buffer)
			return err == nil && parse(t, buffer[:n]).BootFileName == "http://"+from+":8081/boot.ipxe"
		}
	}
	until(t, "it answers", answered("172.31.0.9"))
	command(t, "ip link set v0 down")
	command(t, "ip link set v0 up")
	until(t, "it answers after the interface was down", answered("172.31.0.9"))
	command(t, "ip addr del 172.31.0.9/16 dev v0")
	command(t, "ip addr add 172.31.0.20/16 dev v0")
	until(t, "it answers with the interface's new address", answered("172.31.0.20"))
	command(t, "ip link del v0")
	network.plug()
	until(t, "it answers on an interface made again", answered("172.31.0.9"))
}

// A network on which packets come in more often than the socket looks around.
func TestServerFollowsItsAddressUnderLoad(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	network := newLAN(t)
	var answered atomic.Pointer[string]
	serve(t, func(c *Config) {
		c.Interfaces[0].Address = netip.Addr{} // the interface's first
		c.Observe = func(e Event) { answered.Store(&e.File) }
	})
	names := func(address string) func() bool {
		return func() bool {
			file := answered.Load()
			return file != nil && *file == "http://"+address+":8081/boot.ipxe"
		}
	}
	client, packet := network.socket("0.0.0.0:68"), captured(t, "uefi-snponly-ipxe-discover")
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	flood.Go(func() {
		for often := time.Tick(time.Millisecond); ctx.Err() == nil; <-often {
			client.WriteToUDPAddrPort(packet, netip.MustParseAddrPort("255.255.255.255:67"))
		}
	})
	defer flood.Wait()
	defer cancel()
	until(t, "it answers", names("172.31.0.9"))
	command(t, "ip addr del 172.31.0.9/16 dev v0")
	command(t, "ip addr add 172.31.0.20/16 dev v0")
	until(t, "it answers with the interface's new address", names("172.31.0.20"))
}

// listenOn tries to listen on an interface.
func listenOn(t *testing.T, name string) error {
	t.Helper()
	server, err := New(Config{Interfaces: []Interface{{Name: name}}, HTTPPort: 8081, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return server.Listen()
}

// checkCure wants a one-line error that says what to do.
func checkCure(t *testing.T, err, kind error, cure string) {
	t.Helper()
	if err == nil || (kind != nil && !errors.Is(err, kind)) || !strings.Contains(err.Error(), cure) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with %q", err, cure)
	}
}

func TestListenErrorsNameTheCure(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	newLAN(t)
	checkCure(t, listenOn(t, "v7"), nil, `no interface "v7"`)
	holder, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 67})
	if err != nil {
		t.Fatal(err)
	}
	checkCure(t, listenOn(t, "v0"), syscall.EADDRINUSE, "ss -ulpn sport = :67")
	holder.Close()
	if err := listenOn(t, "v0"); err != nil { // nothing was left open by the failure
		t.Error(err)
	}
}

func TestListenWithoutPrivileges(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	if os.Getuid() != 0 {
		checkCure(t, listenOn(t, "v0"), syscall.EACCES, "CAP_NET_BIND_SERVICE")
		return
	}
	newLAN(t)
	command(t, "setpriv --bounding-set=-all --inh-caps=-all --reuid=65534 "+os.Args[0]+" -test.run=^"+t.Name()+"$")
}

// A relay's worth of clients, by a client we did not write.
func TestServerUnderPerfdhcp(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	network := newLAN(t)
	server := serve(t, func(*Config) {})
	const class = "505845436c69656e743a417263683a30303030373a554e44493a303033303030" // PXEClient:Arch:00007:UNDI:003000
	report := network.onClients("perfdhcp -4 -i -l v1 -R 100 -r 500 -p 2 -W 500000 -o 60," + class + " -o 93,0007")
	received := regexp.MustCompile(`received packets: (\d+)`).FindStringSubmatch(report)
	drops := regexp.MustCompile(`drops: (\d+)`).FindStringSubmatch(report)
	if received == nil || drops == nil {
		t.Fatal(report)
	}
	// A busy machine may lose a packet in a socket's buffer, and perfdhcp may
	// not reach its rate; a broken answer loses them all.
	offers, _ := strconv.Atoi(received[1])
	missed, _ := strconv.Atoi(drops[1])
	if offers < 100 || missed > offers/100 {
		t.Errorf("perfdhcp got %d offers and missed %d:\n%s", offers, missed, report)
	}
	if server.Counters()[Counter{67, OfferedTFTP}] == 0 {
		t.Errorf("counters %v", server.Counters())
	}
}
