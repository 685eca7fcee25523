package wol

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/power"
)

var (
	first  = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	second = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 2}
)

// listen receives UDP and returns where.
func listen(t *testing.T, address string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return socket, socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

func receive(t *testing.T, socket *net.UDPConn) []byte {
	t.Helper()
	buffer := make([]byte, 2048)
	n, _, err := socket.ReadFromUDP(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return buffer[:n]
}

func TestOnReachesEveryCard(t *testing.T) {
	socket, address := listen(t, "127.0.0.1:0")
	driver, err := New(Config{MACs: []net.HardwareAddr{first, second}, Address: address, Password: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.On(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range repeats {
		for _, mac := range []net.HardwareAddr{first, second} {
			packet := receive(t, socket)
			want := "\xff\xff\xff\xff\xff\xff" + strings.Repeat(string(mac), 16) + "secret"
			if string(packet) != want {
				t.Errorf("got % x", packet)
			}
		}
	}
}

func TestOnEndsWithContext(t *testing.T) {
	_, address := listen(t, "127.0.0.1:0")
	driver, err := New(Config{MACs: []net.HardwareAddr{first}, Address: address})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := driver.On(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWhatWakeOnLANCannotDo(t *testing.T) {
	driver, err := New(Config{MACs: []net.HardwareAddr{first}})
	if err != nil {
		t.Fatal(err)
	}
	var person *power.NeedsPersonError
	for what, err := range map[string]error{
		"off":   driver.Off(t.Context()),
		"cycle": driver.Cycle(t.Context()),
		"boot":  driver.BootFromNetwork(t.Context(), power.UEFI),
	} {
		if !errors.As(err, &person) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if state, err := driver.State(t.Context()); state != power.Unknown || err != nil {
		t.Errorf("state is %s, %v", state, err)
	}
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	_, err := New(Config{
		MACs:     []net.HardwareAddr{first, {1, 2, 3, 4, 5, 6}, {0, 0, 0, 0, 0, 0}, {2}},
		Ethernet: true, Address: netip.MustParseAddrPort("[ff02::1]:9"), Password: []byte("12345"),
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"macs[1]", "macs[2]", "macs[3]", "interface: ", "address: ", "password: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "macs[0]") || strings.Contains(err.Error(), "12345") {
		t.Error(err)
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "macs") {
		t.Error(err)
	}
}

func TestBroadcasters(t *testing.T) {
	names := broadcasters([]net.Interface{
		{Name: "lo", Flags: net.FlagUp | net.FlagLoopback | net.FlagBroadcast},
		{Name: "eth0", Flags: net.FlagUp | net.FlagBroadcast},
		{Name: "eth1", Flags: net.FlagBroadcast},
		{Name: "wg0", Flags: net.FlagUp | net.FlagPointToPoint},
		{Name: "eth2", Flags: net.FlagUp | net.FlagBroadcast | net.FlagMulticast},
	})
	if !slices.Equal(names, []string{"eth0", "eth2"}) {
		t.Error(names)
	}
}

func TestInterfaceThatDoesNotExist(t *testing.T) {
	driver, err := New(Config{MACs: []net.HardwareAddr{first}, Interface: "nosuch0", Ethernet: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.On(t.Context()); err == nil || !strings.Contains(err.Error(), "nosuch0") || !strings.Contains(err.Error(), "ip link") {
		t.Error(err)
	}
}

// inOwnNetwork runs the test again in a child with an empty network namespace, as root, and is true there.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const variable = "TEST_IN_OWN_NETWORK"
	if os.Getenv(variable) != "" {
		return true
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	child.Env = append(os.Environ(), variable+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if output, err := child.CombinedOutput(); err != nil {
		t.Errorf("in its own network namespace (needs root): %v\n%s", err, output)
	}
	return false
}

// link makes a pair of interfaces: a machine's cards are at the second's end.
func link(t *testing.T, near, far, address string) {
	t.Helper()
	for _, command := range []string{
		"ip link add " + near + " type veth peer name " + far,
		"ip address add " + address + " dev " + near,
		"ip link set " + near + " up",
		"ip link set " + far + " up",
	} {
		fields := strings.Fields(command)
		if output, err := exec.Command(fields[0], fields[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, output)
		}
	}
}

// sniff opens a socket that sees every frame at an interface.
func sniff(t *testing.T, name string) func() []byte {
	t.Helper()
	device, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_ALL)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: device.Index}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	return func() []byte {
		buffer := make([]byte, 2048)
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			t.Fatalf("no frame on %s: %v", name, err)
		}
		return buffer[:n]
	}
}

// await returns the first frame that is wanted.
func await(next func() []byte, wanted func([]byte) bool) []byte {
	for {
		if frame := next(); wanted(frame) {
			return frame
		}
	}
}

func isFrame(f []byte) bool { return len(f) > 14 && f[12] == 0x08 && f[13] == 0x42 }

// isUDP is true for IPv4 UDP to 255.255.255.255:9.
func isUDP(f []byte) bool {
	return len(f) > 42 && f[12] == 0x08 && f[13] == 0x00 && f[23] == 17 &&
		bytes.Equal(f[30:34], []byte{255, 255, 255, 255}) && bytes.Equal(f[36:38], []byte{0, 9})
}

func TestOnOneInterface(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	link(t, "near0", "far0", "10.0.0.1/24")
	next := sniff(t, "far0")
	driver, err := New(Config{MACs: []net.HardwareAddr{first}, Interface: "near0", Ethernet: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.On(t.Context()); err != nil {
		t.Fatal(err)
	}
	packet := Packet(first, nil)
	if got := await(next, isUDP); !bytes.Equal(got[42:], packet) {
		t.Errorf("UDP carries % x", got[42:])
	}
	device, err := net.InterfaceByName("near0")
	if err != nil {
		t.Fatal(err)
	}
	got := await(next, isFrame)
	if !bytes.Equal(got[14:], packet) || !bytes.Equal(got[:6], bytes.Repeat([]byte{0xff}, 6)) || !bytes.Equal(got[6:12], device.HardwareAddr) {
		t.Errorf("frame is % x", got)
	}
}

// There is no default route here: the kernel alone would not know where to.
func TestOnEveryInterface(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	link(t, "near0", "far0", "10.0.0.1/24")
	link(t, "near1", "far1", "10.0.1.1/24")
	sniffers := []func() []byte{sniff(t, "far0"), sniff(t, "far1")}
	driver, err := New(Config{MACs: []net.HardwareAddr{first}})
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.On(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, next := range sniffers {
		if got := await(next, isUDP); !bytes.Equal(got[42:], Packet(first, nil)) {
			t.Errorf("UDP carries % x", got[42:])
		}
	}
}

func TestNoInterface(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	driver, err := New(Config{MACs: []net.HardwareAddr{first}})
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.On(t.Context()); err == nil || !strings.Contains(err.Error(), "no interface is up") {
		t.Error(err)
	}
}
