package tftp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const scriptText = "#!ipxe\nchain http://172.30.0.1:8081/boot.ipxe\n"

var (
	local   = netip.MustParseAddr("172.30.0.1")
	machine = netip.MustParseAddrPort("172.30.0.77:2070")
)

// table is a desk at which the test is the network and the clock.
type table struct {
	*desk
	t      *testing.T
	now    time.Time
	sent   []string
	events []Event
}

func newTable(t *testing.T, files Files) *table {
	t.Helper()
	b := &table{t: t, now: time.Unix(1_000_000, 0)}
	b.desk = &desk{
		local: local,
		mtu:   1500,
		files: files,
		history: newHistory(Chain{
			Programs: []string{"undionly.kpxe"},
			Script:   func(netip.Addr) []byte { return []byte(scriptText) },
		}),
		send:      func(packet []byte, _ netip.AddrPort) { b.sent = append(b.sent, string(packet)) },
		report:    func(e Event) { b.events = append(b.events, e) },
		transfers: map[netip.AddrPort]*transfer{},
		clients:   map[netip.Addr]int{},
	}
	return b
}

// put hands over a datagram and returns what was sent because of it.
func (b *table) put(datagram string) []string {
	b.sent = nil
	b.receive([]byte(datagram), machine, b.now)
	return b.sent
}

// wait lets time pass, and returns what was sent because of that.
func (b *table) wait(d time.Duration) []string {
	b.sent = nil
	for end := b.now.Add(d); b.now.Before(end); {
		b.now = b.now.Add(tickLength)
		b.tick(b.now)
	}
	return b.sent
}

func ack(block int) string { return string([]byte{0, opAck, byte(block >> 8), byte(block)}) }

func data(block int, content string) string {
	return string([]byte{0, opData, byte(block >> 8), byte(block)}) + content
}

func (b *table) expect(what string, got []string, want ...string) {
	b.t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		b.t.Errorf("%s: sent %.200q, want %.200q", what, got, want)
	}
}

func (b *table) outcome() Outcome {
	if len(b.events) == 0 {
		return ""
	}
	return b.events[len(b.events)-1].Outcome
}

func TestTransferInLockStep(t *testing.T) {
	content := strings.Repeat("x", 1024) // two full blocks and an empty one
	b := newTable(t, Map{"undionly.kpxe": []byte(content)})
	b.expect("request", b.put(plainLoad), data(1, content[:512]))
	b.expect("repeated request", b.put(plainLoad))
	b.expect("block 1", b.put(ack(1)), data(2, content[:512]))
	b.expect("block 2", b.put(ack(2)), data(3, ""))
	b.expect("block 3", b.put(ack(3)))
	if e := b.events[0]; e.Outcome != Completed || e.Bytes != 1024 || e.File != "undionly.kpxe" || e.BlockSize != 512 || e.Window != 1 {
		t.Errorf("event %+v", e)
	}
	b.expect("after the end", b.put(ack(3)))
	if len(b.transfers) != 0 || b.outcome() != Stray {
		t.Errorf("%d transfers, last %s", len(b.transfers), b.outcome())
	}
}

func TestUEFIOpensTwice(t *testing.T) {
	content := strings.Repeat("y", 3000)
	b := newTable(t, Map{"snp.efi": []byte(content)})
	b.expect("size", b.put(ovmfSize), "\x00\x06tsize\x003000\x00blksize\x001468\x00windowsize\x004\x00")
	b.expect("abort", b.put("\x00\x05\x00\x08User aborted the transfer\x00"))
	if b.outcome() != Aborted {
		t.Errorf("got %s", b.outcome())
	}
	b.expect("load", b.put(ovmfLoad), "\x00\x06blksize\x001468\x00windowsize\x004\x00")
	b.expect("data", b.put(ack(0)), data(1, content[:1468]), data(2, content[:1468]), data(3, content[:64]))
	b.expect("end", b.put(ack(3)))
	if b.outcome() != Completed || b.events[1].Window != 4 {
		t.Errorf("event %+v", b.events[1])
	}
}

func TestRequestsThatFail(t *testing.T) {
	broken := filesFunc(func(Request) (File, error) { return nil, errors.New("disk on fire") })
	for _, test := range []struct {
		name     string
		files    Files
		datagram string
		want     Outcome
		sent     []string
	}{
		{"missing file", Map{}, ipxeProbe, NotFound, []string{"\x00\x05\x00\x01file not found\x00"}},
		{"write", Map{}, writeBytes, Refused, []string{"\x00\x05\x00\x02this server is read-only\x00"}},
		{"malformed write", Map{}, "\x00\x02zzz", Refused, []string{"\x00\x05\x00\x02this server is read-only\x00"}},
		{"malformed", Map{}, "\x00\x01zzz", Malformed, []string{"\x00\x05\x00\x04malformed request: no mode\x00"}},
		{"no name", Map{}, "\x00\x01/\x00octet\x00", BadName, []string{"\x00\x05\x00\x04bad file name: empty\x00"}},
		{"mail", Map{}, "\x00\x01root\x00mail\x00", BadMode, []string{"\x00\x05\x00\x04unknown transfer mode \"mail\"\x00"}},
		{"broken storage", broken, ovmfLoad, Failed, []string{"\x00\x05\x00\x00cannot open file\x00"}},
		{"noise", Map{}, "hello", Stray, nil},
		{"too short", Map{}, "\x00\x01", Stray, nil},
		{"acknowledgement of nothing", Map{}, ack(7), Stray, nil},
		{"error of nothing", Map{}, "\x00\x05\x00\x08", Stray, nil},
	} {
		b := newTable(t, test.files)
		b.expect(test.name, b.put(test.datagram), test.sent...)
		if b.outcome() != test.want || len(b.events) != 1 {
			t.Errorf("%s: got %v, want %s", test.name, b.events, test.want)
		}
	}
}

type filesFunc func(Request) (File, error)

func (f filesFunc) Open(r Request) (File, error) { return f(r) }

func TestSilentClient(t *testing.T) {
	b := newTable(t, Map{"snp.efi": []byte("small")})
	const confirmation = "\x00\x06blksize\x001468\x00windowsize\x004\x00"
	b.put(ovmfLoad)
	b.expect("before its time", b.wait(interval-tickLength))
	b.expect("the answer is lost", b.wait(tickLength), confirmation)
	b.expect("data", b.put(ack(0)), data(1, "small"))
	b.expect("the data are lost", b.wait(interval), data(1, "small"))
	b.expect("twice", b.wait(2*interval), data(1, "small"))
	b.wait(time.Minute)
	if e := b.events[0]; e.Outcome != TimedOut || e.Retransmitted != 6 || e.Duration > 25*time.Second || len(b.transfers) != 0 {
		t.Errorf("event %+v", e)
	}
}

func TestClientThatWantsItsOwnTimeout(t *testing.T) {
	b := newTable(t, Map{"a": []byte("small")})
	b.put("\x00\x01a\x00octet\x00timeout\x005\x00")
	b.expect("after 4.9 s", b.wait(4900*time.Millisecond))
	b.expect("after 5 s", b.wait(tickLength), "\x00\x06timeout\x005\x00")
}

func TestRequestFromABusyPort(t *testing.T) {
	b := newTable(t, Map{"undionly.kpxe": []byte("program"), "snp.efi": []byte("other")})
	b.put(romSize)
	b.expect("another request", b.put(plainLoad), data(1, "program")) // ROMs use one port for both
	if b.outcome() != Replaced || len(b.transfers) != 1 {
		t.Errorf("%s, %d transfers", b.outcome(), len(b.transfers))
	}
}

func TestStopping(t *testing.T) {
	b := newTable(t, Map{"snp.efi": []byte("small")})
	b.put("\x00\x01snp.efi\x00octet\x00")
	b.closing = true
	b.receive([]byte(plainLoad), netip.MustParseAddrPort("172.30.0.78:2070"), b.now)
	if b.outcome() != Stopping || len(b.transfers) != 1 {
		t.Errorf("a new transfer was begun while stopping: %s", b.outcome())
	}
	b.sent = nil
	b.endAll(b.now)
	b.expect("the rest", b.sent, "\x00\x05\x00\x00server is stopping\x00")
	if b.outcome() != Stopped || len(b.transfers) != 0 {
		t.Errorf("got %s", b.outcome())
	}
}

func TestTransfersAreBounded(t *testing.T) {
	b := newTable(t, Map{"snp.efi": []byte("small")})
	for i := range 2 * maxTransfers {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 2070)
		b.receive([]byte(ovmfLoad), from, b.now)
	}
	if len(b.transfers) != maxTransfers || b.outcome() != Overloaded {
		t.Errorf("%d transfers, last %s", len(b.transfers), b.outcome())
	}
	b.wait(time.Minute)
	if len(b.transfers) != 0 || len(b.clients) != 0 {
		t.Errorf("%d transfers, %d clients are left", len(b.transfers), len(b.clients))
	}
}

func TestTransfersOfOneClientAreBounded(t *testing.T) {
	b := newTable(t, Map{"snp.efi": []byte("small"), "undionly.kpxe": []byte("other")})
	from := func(port int) netip.AddrPort { return netip.AddrPortFrom(machine.Addr(), uint16(port)) }
	for port := range 2 * maxTransfersPerClient {
		b.receive([]byte(ovmfLoad), from(port+1), b.now)
	}
	if len(b.transfers) != maxTransfersPerClient || b.outcome() != Overloaded {
		t.Errorf("%d transfers, last %s", len(b.transfers), b.outcome())
	}
	b.receive([]byte(plainLoad), from(1), b.now)
	if b.outcome() != Replaced || len(b.transfers) != maxTransfersPerClient {
		t.Errorf("a request in place of another: %s, %d transfers", b.outcome(), len(b.transfers))
	}
	b.receive([]byte(ovmfLoad), netip.MustParseAddrPort("172.30.0.78:2070"), b.now)
	if len(b.transfers) != maxTransfersPerClient+1 {
		t.Error("another client is not served")
	}
	b.receive([]byte("\x00\x05\x00\x00\x00"), from(2), b.now)
	b.receive([]byte(ovmfLoad), from(1000), b.now)
	if b.transfers[from(1000)] == nil {
		t.Errorf("no room after one has ended: %s", b.outcome())
	}
}

// A client whose block is lost may say what it has more often than our clock
// ticks: that must not stop the clock.
func TestRepeatedAcknowledgementsDoNotStopTheClock(t *testing.T) {
	content := strings.Repeat("x", 2000)
	for _, test := range []struct {
		name, request string
		confirmed     bool
		within        time.Duration
	}{
		{"our own interval", "\x00\x01a\x00octet\x00", false, interval},
		{"the client's interval", "\x00\x01a\x00octet\x00timeout\x005\x00", true, 5 * time.Second},
	} {
		for _, stale := range []string{ack(1), ack(0), ack(77)} {
			b := newTable(t, Map{"a": []byte(content)})
			b.put(test.request)
			if test.confirmed {
				b.put(ack(0))
			}
			b.expect(test.name, b.put(ack(1)), data(2, content[:512])) // and this is lost
			var sent []string
			for range test.within / tickLength {
				b.expect(test.name+", repeated", b.put(stale))
				sent = append(sent, b.wait(tickLength)...)
			}
			b.expect(test.name+", after the interval", sent, data(2, content[:512]))
			for range 2 * time.Minute / tickLength {
				b.put(stale)
				b.wait(tickLength)
			}
			if len(b.transfers) != 0 || b.events[0].Outcome != TimedOut {
				t.Errorf("%s: a client that only repeats %q is served for ever: %v", test.name, stale, b.events)
			}
		}
	}
}

func TestUnconfirmedOptionsAreNotServedForEver(t *testing.T) {
	b := newTable(t, Map{"snp.efi": []byte("small")})
	b.put(ovmfLoad)
	b.expect("an acknowledgement of no block", b.put(ack(1)))
	for range 2 * time.Minute / tickLength {
		b.put(ack(1))
		b.wait(tickLength)
	}
	if len(b.transfers) != 0 || b.events[0].Outcome != TimedOut {
		t.Errorf("events %v", b.events)
	}
}

func TestWindowOfAClientThatOnlyReportsGaps(t *testing.T) {
	content := strings.Repeat("x", 20_000)
	b := newTable(t, Map{"snp.efi": []byte(content)})
	b.put(ovmfLoad)
	b.put(ack(0))
	if got := b.put(ack(0)); len(got) != 4 {
		t.Errorf("a gap at the start was answered with %d packets, want the window", len(got))
	}
	for range 2 * time.Minute / tickLength {
		b.put(ack(0))
		b.wait(tickLength)
	}
	if len(b.transfers) != 0 || b.events[0].Outcome != TimedOut {
		t.Errorf("events %v", b.events)
	}
}

// lossyClient is a client of RFC 1350 and 7440 behind a link that loses packets
// both ways. It repeats what it has when nothing came for a while, and sooner
// than we do.
type lossyClient struct {
	*table
	random          *rand.Rand
	blockSize, step int
	received        int // blocks in order
	complete        bool
}

func (c *lossyClient) lost() bool { return c.random.IntN(100) < 2 }

// hear handles what the server sent and returns what was sent because of the
// answers.
func (c *lossyClient) hear(packets []string) (next []string) {
	for i, packet := range packets {
		if c.lost() {
			continue
		}
		if packet[1] == opData && number([]byte(packet)) == uint16(c.received+1) {
			c.received++
			c.complete = len(packet) < headerLength+c.blockSize
		}
		if (i == len(packets)-1 || c.received%c.step == 0 || c.complete) && !c.lost() {
			next = append(next, c.put(ack(c.received))...)
		}
	}
	return next
}

func TestLossyLink(t *testing.T) {
	const blocks, blockSize = 70_000, 8 // more than there are numbers
	for _, window := range []int{1, 4, maxWindow} {
		b := newTable(t, Map{"a": make([]byte, blocks*blockSize)})
		c := &lossyClient{table: b, random: rand.New(rand.NewPCG(7, uint64(window))), blockSize: blockSize, step: window}
		packets := b.put(fmt.Sprintf("\x00\x01a\x00octet\x00blksize\x008\x00windowsize\x00%d\x00", window))
		started := b.now
		for len(b.events) == 0 {
			if b.now.Sub(started) > 3*time.Hour {
				t.Fatalf("window %d: stuck at block %d", window, c.received)
			}
			if len(packets) > 0 {
				packets = c.hear(packets)
				continue
			}
			packets = append(b.wait(7*tickLength), b.put(ack(c.received))...)
		}
		if e := b.events[0]; e.Outcome != Completed || c.received != blocks+1 || !c.complete {
			t.Errorf("window %d: %d blocks received, event %+v", window, c.received, e)
		}
	}
}

// load plays a client that loads a file to its end and returns what it got.
func (b *table) load(datagram string) string {
	b.t.Helper()
	var got strings.Builder
	replies := b.put(datagram)
	for range 100 {
		if len(replies) == 0 {
			return got.String()
		}
		last := replies[len(replies)-1]
		if last[1] == opOptions {
			replies = b.put(ack(0))
			continue
		}
		for _, packet := range replies {
			got.WriteString(packet[headerLength:])
		}
		replies = b.put("\x00\x04" + last[2:4])
	}
	b.t.Fatal("the transfer has no end")
	return ""
}

func TestNobodyLoadsForEver(t *testing.T) {
	const program = "machine code"
	b := newTable(t, Map{"undionly.kpxe": []byte(program), "snp.efi": []byte(program)})
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s got %q, want %q", what, got, want)
		}
	}
	b.put(romSize)
	b.put("\x00\x05\x00\x00\x00")
	is("the ROM", b.load(romLoad), program)
	is("iPXE", b.load(ipxeROM), scriptText)
	if e := b.events[len(b.events)-1]; !e.Script || e.File != "undionly.kpxe" {
		t.Errorf("event %+v", e)
	}
	b.put(romSize)
	b.put("\x00\x05\x00\x00\x00")
	is("the ROM after a reset", b.load(romLoad), program)
	is("a loader that is neither", b.load(plainLoad), scriptText)
	b.now = b.now.Add(ChainMemory)
	is("the neither-loader, later", b.load(plainLoad), program)
	is("an iPXE in a UEFI ROM", b.load(strings.Replace(ipxeROM, "undionly.kpxe", "snp.efi", 1)), program)
	is("OVMF", b.load(ovmfLoad), program)
	is("OVMF again", b.load(ovmfLoad), program)
}

func TestNetascii(t *testing.T) {
	b := newTable(t, Map{"a": []byte("one\ntwo\r\n"), "big": make([]byte, maxNetascii+1)})
	if got, want := b.load("\x00\x01a\x00netascii\x00"), "one\r\ntwo\r\x00\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.put("\x00\x01big\x00netascii\x00")
	if e := b.events[len(b.events)-1]; e.Outcome != Failed || e.Err == nil {
		t.Errorf("event %+v", e)
	}
}

// unreadable fails after its first block.
type unreadable struct{ closed *bool }

func (unreadable) Size() int64 { return 2000 }
func (unreadable) ReadAt(p []byte, offset int64) (int, error) {
	if offset > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return len(p), nil
}
func (u unreadable) Close() error { *u.closed = true; return nil }

func TestFileThatBreaks(t *testing.T) {
	closed := false
	b := newTable(t, filesFunc(func(Request) (File, error) { return unreadable{&closed}, nil }))
	b.put(plainLoad)
	b.expect("block 2", b.put(ack(1)), "\x00\x05\x00\x00cannot read file\x00")
	if e := b.events[0]; e.Outcome != Failed || !errors.Is(e.Err, io.ErrUnexpectedEOF) || !closed {
		t.Errorf("event %+v, closed %t", e, closed)
	}
}

func TestLargeFileWrapsBlockNumbers(t *testing.T) {
	content := make([]byte, 70_000*8)
	for i := range content {
		content[i] = byte(i >> 3 * i)
	}
	b := newTable(t, Map{"a": content})
	replies := b.put("\x00\x01a\x00octet\x00blksize\x008\x00windowsize\x0016\x00")
	replies = append(replies[:0], b.put(ack(0))...)
	var got bytes.Buffer
	for len(replies) > 0 {
		for _, packet := range replies {
			got.WriteString(packet[headerLength:])
		}
		last := replies[len(replies)-1]
		replies = append(replies[:0], b.put("\x00\x04"+last[2:4])...)
	}
	if !bytes.Equal(got.Bytes(), content) || b.outcome() != Completed {
		t.Errorf("got %d bytes of %d, %s", got.Len(), len(content), b.outcome())
	}
}
