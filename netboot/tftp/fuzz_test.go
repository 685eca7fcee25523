package tftp

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// FuzzRequest throws any two datagrams, from one client, at the way from the
// wire to the files and back.
func FuzzRequest(f *testing.F) {
	for _, datagram := range []string{ovmfSize, ovmfLoad, ipxeROM, ipxeProbe, plainLoad, romSize, romLoad, writeBytes,
		"\x00\x01..\\..\\etc\\passwd\x00octet\x00", "\x00\x01/\xff\x00netascii\x00blksize\x008\x00windowsize\x0099999\x00"} {
		f.Add([]byte(datagram), []byte(ack(0)))
		f.Add([]byte(datagram), []byte(datagram))
	}
	f.Add([]byte{}, []byte{0, opError, 0, codeOptions})
	content := program(5000)

	f.Fuzz(func(t *testing.T, first, second []byte) {
		open := filesFunc(func(request Request) (File, error) {
			if !fs.ValidPath(request.Name) || strings.ContainsAny(request.Name, "\\\x00") {
				t.Fatalf("files were asked for %q", request.Name)
			}
			if strings.HasPrefix(request.Name, "a") {
				return nil, fs.ErrNotExist
			}
			return Memory(content), nil
		})
		b := newTable(t, open)
		b.send = func(packet []byte, to netip.AddrPort) {
			if to != machine {
				t.Fatalf("sent to %s", to)
			}
			if op := opcode(packet); op != opData && op != opError && op != opOptions {
				t.Fatalf("sent %q", packet)
			}
			if len(packet) > headerLength+1468 {
				t.Fatalf("sent %d bytes, more than the MTU allows", len(packet))
			}
		}
		b.put(string(first))
		// No datagram, however often it comes, keeps a transfer without progress
		// beyond its deadlines; it can make progress once.
		const atMost = 2 * maxSilences * maxTimeout * time.Second
		for begin := b.now; b.now.Sub(begin) < atMost+time.Minute; {
			b.put(string(second))
			b.wait(9 * tickLength)
			for _, transfer := range b.transfers {
				if b.now.Sub(transfer.started) > atMost {
					t.Fatalf("a transfer goes on since %s", b.now.Sub(transfer.started))
				}
			}
		}
		b.wait(atMost)
		if len(b.transfers) != 0 || len(b.clients) != 0 {
			t.Fatal("a transfer has no end")
		}
		if len(b.events) == 0 {
			t.Fatal("nothing was reported")
		}
	})
}
