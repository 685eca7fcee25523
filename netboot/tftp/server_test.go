package tftp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/netboot/internal/declared"
	"github.com/sidero-appliance/sidero-appliance/netboot/internal/isolated"
)

// appliance is a server on a loopback port with what it has reported.
type appliance struct {
	*Server
	at     netip.AddrPort
	log    *lockedBuffer
	events chan Event
	stop   func() error // ends it; returns what Run returned

	mu     sync.Mutex
	counts map[Outcome]int
}

// observe notes an event, and keeps the latest for next.
func (a *appliance) observe(e Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[e.Outcome]++
	a.events <- e
}

func (a *appliance) counted() map[Outcome]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.counts)
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t testing.TB, files Files, configure func(*Config)) *appliance {
	t.Helper()
	a := &appliance{log: &lockedBuffer{}, events: make(chan Event, 10_000), counts: map[Outcome]int{}}
	config := Config{
		Interfaces: []string{"lo"},
		Files:      files,
		Log:        slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Observe:    a.observe,
	}
	if configure != nil {
		configure(&config)
	}
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if server.Ready(t.Context()) == nil {
		t.Error("ready before it listens")
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	a.Server, a.at = server, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), server.Port())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	a.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := a.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
		if server.Ready(context.Background()) == nil {
			t.Error("ready after it ended")
		}
	})
	return a
}

// next waits for the next event.
func (a *appliance) next(t testing.TB) Event {
	t.Helper()
	select {
	case e := <-a.events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was reported")
		return Event{}
	}
}

// client is a TFTP client of ours, which sends what no good client would.
type client struct {
	t    testing.TB
	conn *net.UDPConn
	to   netip.AddrPort
}

func newClient(t testing.TB, to netip.AddrPort) *client {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, to}
}

func (c *client) send(datagram string) {
	c.t.Helper()
	if _, err := c.conn.WriteToUDPAddrPort([]byte(datagram), c.to); err != nil {
		c.t.Fatal(err)
	}
}

// receive waits for a packet, which must come from the port that was asked.
func (c *client) receive() string {
	c.t.Helper()
	buffer := make([]byte, maxDatagram)
	c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := c.conn.ReadFromUDPAddrPort(buffer)
	if err != nil {
		c.t.Fatal(err)
	}
	if from != c.to {
		c.t.Fatalf("the answer came from %s, want %s", from, c.to)
	}
	return string(buffer[:n])
}

func (c *client) ask(datagram string) string {
	c.t.Helper()
	c.send(datagram)
	return c.receive()
}

func program(size int) []byte {
	content := make([]byte, size)
	random := rand.NewChaCha8([32]byte{7})
	random.Read(content)
	return content
}

func TestServerWithRealClients(t *testing.T) {
	large := program(40 << 20) // block numbers wrap at 32 MiB
	a := start(t, Map{"snp.efi": program(284_672), "exact": program(1024), "empty": {}, "dir/large": large}, nil)
	for _, test := range []struct {
		file, client string
		blockSize    int
		command      []string
	}{
		{"snp.efi", "curl", 512, []string{"curl", "-sS", "--tftp-blksize", "512", "-o", "OUT", "tftp://127.0.0.1:PORT/snp.efi"}},
		{"snp.efi", "curl", 1468, []string{"curl", "-sS", "--tftp-blksize", "1468", "-o", "OUT", "tftp://127.0.0.1:PORT//../snp.efi"}},
		{"exact", "curl", 512, []string{"curl", "-sS", "-o", "OUT", "tftp://127.0.0.1:PORT/exact"}},
		{"empty", "tftp-hpa", 512, []string{"tftp", "-m", "binary", "127.0.0.1", "PORT", "-c", "get", "empty", "OUT"}}, // curl 7.88 fails on it
		{"snp.efi", "curl", 512, []string{"curl", "-sS", "--tftp-no-options", "-o", "OUT", "tftp://127.0.0.1:PORT/snp.efi"}},
		{"dir/large", "curl", 1468, []string{"curl", "-sS", "--tftp-blksize", "1468", "-o", "OUT", "tftp://127.0.0.1:PORT/dir/large"}},
		{"snp.efi", "atftp", 512, []string{"atftp", "--get", "-r", "snp.efi", "-l", "OUT", "127.0.0.1", "PORT"}},
		{"snp.efi", "atftp", 1428, []string{"atftp", "--option", "blksize 1428", "--option", "tsize 0", "--option", "timeout 3", "--get", "-r", "/snp.efi", "-l", "OUT", "127.0.0.1", "PORT"}},
		{"snp.efi", "tftp-hpa", 512, []string{"tftp", "-m", "binary", "127.0.0.1", "PORT", "-c", "get", "snp.efi", "OUT"}},
		{"exact", "tftp-hpa", 512, []string{"tftp", "-m", "binary", "127.0.0.1", "PORT", "-c", "get", "exact", "OUT"}},
	} {
		out := filepath.Join(t.TempDir(), "out")
		for i, word := range test.command {
			word = strings.ReplaceAll(word, "PORT", strconv.Itoa(int(a.at.Port())))
			test.command[i] = strings.ReplaceAll(word, "OUT", out)
		}
		run(t, test.command...)
		got, err := os.ReadFile(out)
		if err != nil {
			t.Errorf("%v: %v", test.command, err)
		}
		want, _ := Map.Open(a.config.Files.(Map), Request{Name: test.file})
		content, _ := io.ReadAll(io.NewSectionReader(want, 0, want.Size()))
		if !bytes.Equal(got, content) {
			t.Errorf("%v: got %d bytes, want %d", test.command, len(got), len(content))
		}
		if e := a.next(t); e.Outcome != Completed || e.BlockSize != test.blockSize || e.Bytes != int64(len(content)) || e.File != test.file {
			t.Errorf("%v: event %+v", test.command, e)
		}
	}
	// The log has a line for each file, the counters all transfers.
	if n := strings.Count(a.log.String(), `msg="sent file over tftp"`); n != 4 {
		t.Errorf("%d completed transfers in the log, want 4:\n%s", n, a.log)
	}
	if n := a.counted()[Completed]; n != 10 {
		t.Errorf("%d completed transfers counted, want 10", n)
	}
}

func TestOutcomesAreComplete(t *testing.T) {
	want, err := declared.Strings(".", "Outcome")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, outcome := range Outcomes() {
		got = append(got, string(outcome))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneClientDoesNotFillTheLog(t *testing.T) {
	a := start(t, filesFunc(func(Request) (File, error) { return nil, errors.New("disk on fire") }), nil)
	c := newClient(t, a.at)
	const times = 50
	for i := range times {
		c.ask("\x00\x01file" + strconv.Itoa(i) + "\x00octet\x00")
		a.next(t)
	}
	if n := strings.Count(a.log.String(), "disk on fire"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, a.log)
	}
	if n := a.counted()[Failed]; n != times {
		t.Errorf("%d failures counted, want %d", n, times)
	}
}

// run executes a client that must succeed.
func run(t testing.TB, words ...string) string {
	t.Helper()
	output, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%v: install Debian's curl, atftp, tftp-hpa, dnsmasq-base and iproute2", err)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, output)
	}
	return string(output)
}

// exitCode executes a client that must fail and returns how.
func exitCode(t *testing.T, words ...string) int {
	t.Helper()
	var failure *exec.ExitError
	if err := exec.Command(words[0], words[1:]...).Run(); !errors.As(err, &failure) {
		t.Fatalf("%s: %v, want it to run and fail", strings.Join(words, " "), err)
	}
	return failure.ExitCode()
}

func TestRealClientsAreTold(t *testing.T) {
	a := start(t, Map{}, nil)
	url := "tftp://" + a.at.String() + "/missing"
	if code := exitCode(t, "curl", "-sS", url); code != 68 { // CURLE_TFTP_NOTFOUND
		t.Errorf("curl on a missing file: exit code %d", code)
	}
	if e := a.next(t); e.Outcome != NotFound || e.File != "missing" {
		t.Errorf("event %+v", e)
	}
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, "curl", "-sS", "-T", source, url); code != 69 { // CURLE_TFTP_PERM
		t.Errorf("curl on writing: exit code %d", code)
	}
	if e := a.next(t); e.Outcome != Refused {
		t.Errorf("event %+v", e)
	}
	if log := a.log.String(); log != "" {
		t.Errorf("misses are not worth a line:\n%s", log)
	}
	if diff := cmp.Diff(map[Outcome]int{NotFound: 1, Refused: 1}, a.counted()); diff != "" {
		t.Error(diff)
	}
}

func TestServerAfterNoise(t *testing.T) {
	a := start(t, Map{"snp.efi": program(3000)}, nil)
	c := newClient(t, a.at)
	for _, noise := range []string{"", "x", "\x00\x09ab", ack(5), "\x00\x05\x00\x00\x00", strings.Repeat("\xff", 60_000)} {
		c.send(noise)
		if e := a.next(t); e.Outcome != Stray {
			t.Errorf("%.20q: %s", noise, e.Outcome)
		}
	}
	if got := c.ask(ovmfSize); !strings.HasPrefix(got, "\x00\x06tsize\x003000\x00blksize\x001468\x00") {
		t.Errorf("got %q", got)
	}
	c.send("\x00\x05\x00\x08User aborted the transfer\x00")
	if e := a.next(t); e.Outcome != Aborted {
		t.Errorf("event %+v", e)
	}
	if log := a.log.String(); log != "" {
		t.Errorf("an abort is not worth a line:\n%s", log)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	content := program(2 << 20)
	a := start(t, Map{"snp.efi": content}, nil)
	var clients sync.WaitGroup
	for _, window := range []int{1, 1, 4, 4, 16, 64} {
		c := newClient(t, a.at)
		clients.Go(func() {
			if got := c.fetch("snp.efi", 1468, window); !bytes.Equal(got, content) {
				t.Errorf("window %d: %d bytes of %d", window, len(got), len(content))
			}
		})
	}
	clients.Wait()
}

// fetch loads a file the way firmware does.
func (c *client) fetch(name string, blockSize, window int) []byte {
	request := "\x00\x01" + name + "\x00octet\x00blksize\x00" + strconv.Itoa(blockSize) + "\x00"
	if window > 1 {
		request += "windowsize\x00" + strconv.Itoa(window) + "\x00"
	}
	buffer := make([]byte, maxDatagram)
	var content bytes.Buffer
	next, unacknowledged := uint16(1), 0
	granted := 1
	packet, to := []byte(request), c.to
	for tries := 0; tries < 20; {
		if packet != nil {
			c.conn.WriteToUDPAddrPort(packet, to)
			packet = nil
		}
		c.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, from, err := c.conn.ReadFromUDPAddrPort(buffer)
		if err == nil {
			to = from // other servers answer from a port of the transfer's own
		}
		switch {
		case err != nil: // nothing for a while: say where we are
			tries++
			packet = []byte(ack(int(next - 1)))
			if content.Len() == 0 && next == 1 && unacknowledged == 0 && granted == 1 {
				packet = []byte(request)
			}
		case opcode(buffer[:n]) == opOptions:
			if _, value, ok := strings.Cut(string(buffer[:n]), "windowsize\x00"); ok {
				granted, _ = strconv.Atoi(strings.TrimRight(value, "\x00"))
			}
			packet = []byte(ack(0))
		case opcode(buffer[:n]) != opData:
			return nil
		case number(buffer) != next:
			if unacknowledged > 0 || granted > 1 {
				packet, unacknowledged = []byte(ack(int(next-1))), 0
			}
		default:
			content.Write(buffer[headerLength:n])
			next, unacknowledged = next+1, unacknowledged+1
			if n < headerLength+blockSize {
				c.conn.WriteToUDPAddrPort([]byte(ack(int(next-1))), to)
				return content.Bytes()
			}
			if unacknowledged >= granted {
				packet, unacknowledged = []byte(ack(int(next-1))), 0
			}
		}
	}
	return nil
}

func TestStopLetsTransfersFinish(t *testing.T) {
	a := start(t, Map{"snp.efi": program(1000)}, nil)
	c := newClient(t, a.at)
	first := c.ask("\x00\x01snp.efi\x00octet\x00")
	stopped := make(chan error)
	go func() { stopped <- a.stop() }()
	newcomer := newClient(t, a.at)
	for { // until it has noticed that it is to stop
		newcomer.send("\x00\x01snp.efi\x00octet\x00")
		newcomer.send("\x00\x05\x00\x00\x00")
		if e := a.next(t); e.Outcome == Stopping {
			break
		}
	}
	if second := c.ask(ack(1)); first[1] != opData || len(second) != headerLength+1000-512 {
		t.Errorf("second block %q", second)
	}
	c.send(ack(2))
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if a.counted()[Completed] != 1 {
		t.Errorf("counters %v", a.counted())
	}
}

// A client that takes longer than it is given is told, and the end is no failure.
func TestStopEndsTransfersThatOutlastIt(t *testing.T) {
	a := start(t, Map{"snp.efi": program(1000)}, func(c *Config) { c.Finish = 300 * time.Millisecond })
	c := newClient(t, a.at)
	c.ask("\x00\x01snp.efi\x00octet\x00")
	if err := a.stop(); err != nil {
		t.Error(err)
	}
	if got := c.receive(); !strings.HasPrefix(got, "\x00\x05") {
		t.Errorf("got %q, want an error packet", got)
	}
	if e := a.next(t); e.Outcome != Stopped {
		t.Errorf("event %+v", e)
	}
}

func TestStopWhileIdle(t *testing.T) {
	for range 50 {
		a := start(t, Map{}, nil)
		newClient(t, a.at).send("noise")
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListenErrorsNameTheCure(t *testing.T) {
	holder, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	held := holder.LocalAddr().(*net.UDPAddr).AddrPort()
	server, err := New(Config{Interfaces: []string{"lo"}, Port: held.Port(), Files: Map{}})
	if err != nil {
		t.Fatal(err)
	}
	cure := "ss -ulpn sport = :" + strconv.Itoa(int(held.Port()))
	err = server.Listen()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), cure) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with %q", err, cure)
	}
	if err := explain(held, syscall.EACCES); !strings.Contains(err.Error(), "CAP_NET_BIND_SERVICE") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	good := Config{Interfaces: []string{"lo"}, Files: Map{}}
	for name, spoil := range map[string]func(*Config){
		"no interface":     func(c *Config) { c.Interfaces = nil },
		"no files":         func(c *Config) { c.Files = nil },
		"chain, no script": func(c *Config) { c.Chain.Programs = []string{"undionly.kpxe"} },
	} {
		config := good
		spoil(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

const offersLargeBlocks = "\x00\x01snp.efi\x00octet\x00blksize\x0065464\x00"

// The block size follows the interface's MTU, also for who asks from this machine, through the loopback.
func TestBlockSizeOnTheInterface(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	for mtu, want := range map[string]string{"1500": "1468", "1450": "1418", "9000": "8968"} {
		run(t, "ip", "addr", "flush", "dev", "v0")
		run(t, "ip", "link", "set", "v0", "mtu", mtu, "up")
		run(t, "ip", "addr", "add", "172.31.0.1/24", "dev", "v0")
		a := start(t, Map{"snp.efi": program(100)}, func(c *Config) { c.Interfaces = []string{"v0"} })
		c := newClient(t, netip.AddrPortFrom(netip.MustParseAddr("172.31.0.1"), a.Port()))
		if got := c.ask(offersLargeBlocks); got != "\x00\x06blksize\x00"+want+"\x00" {
			t.Errorf("MTU %s: got %q, want blocks of %s", mtu, got, want)
		}
		c.send("\x00\x05\x00\x00\x00")
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	}
}

// An address that turns up while the server runs is answered like those of before: DHCP advertises it within seconds.
func TestAddressThatComesLater(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	a := start(t, Map{"snp.efi": program(100)}, nil)
	for _, later := range []string{"172.31.0.1", "172.31.0.2"} {
		run(t, "ip", "addr", "add", later+"/32", "dev", "lo")
		c := newClient(t, netip.AddrPortFrom(netip.MustParseAddr(later), a.Port()))
		if got := c.ask("\x00\x01snp.efi\x00octet\x00"); len(got) != headerLength+100 { // ask checks who answers
			t.Errorf("%s: got %q", later, got)
		}
		c.send(ack(1))
		if e := a.next(t); e.Outcome != Completed || e.Local.String() != later {
			t.Errorf("event %+v", e)
		}
	}
}

// Neither an interface that is not served nor a request to everybody gets an answer.
func TestSilence(t *testing.T) {
	if !isolated.Inside(t) {
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	// Both ends of a cable are here: packets from this machine have to be let in by it.
	for _, command := range []string{
		"ip link add v0 type veth peer name v1", "ip addr add 172.31.0.1/24 dev v0", "ip link set v0 up", "ip link set v1 up",
		"ip neigh add 172.31.0.1 lladdr MAC dev v1 nud permanent",
	} {
		v0, err := net.InterfaceByName("v0")
		if err == nil {
			command = strings.ReplaceAll(command, "MAC", v0.HardwareAddr.String())
		}
		run(t, strings.Fields(command)...)
	}
	for setting, value := range map[string]string{"all/rp_filter": "0", "v0/rp_filter": "0", "v0/accept_local": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+setting, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ serves, asked string }{{"v1", "172.31.0.1"}, {"v0", "255.255.255.255"}} {
		a := start(t, Map{"snp.efi": program(100)}, func(c *Config) { c.Interfaces = []string{test.serves} })
		c := newClient(t, netip.AddrPortFrom(netip.MustParseAddr(test.asked), a.Port()))
		c.bindTo("v1")
		c.send(offersLargeBlocks)
		if e := a.next(t); e.Outcome != NotServed {
			t.Errorf("%+v: event %+v", test, e)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	}
}

// bindTo makes the client send through an interface, to everybody if need be.
func (c *client) bindTo(device string) {
	c.t.Helper()
	raw, err := c.conn.SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		failure = errors.Join(unix.BindToDevice(int(fd), device), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	})
	if err := errors.Join(err, failure); err != nil {
		c.t.Fatal(err)
	}
}

func TestMapOpensWhatItHas(t *testing.T) {
	if _, err := (Map{"a": nil}).Open(Request{Name: "b"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
