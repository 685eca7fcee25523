package tftp

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

func requestOf(t testing.TB, datagram string) Request {
	t.Helper()
	request, err := parseRequest([]byte(datagram))
	if err != nil {
		t.Fatal(err)
	}
	request.Remote = netip.MustParseAddrPort("172.30.0.77:2070")
	return request
}

func TestAskedByIPXE(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	never := Loads{}
	loaded := func(ago time.Duration, datagrams ...string) Loads {
		loads := Loads{Completed: now.Add(-ago)}
		for _, d := range datagrams {
			loads.Shapes = append(loads.Shapes, shape(requestOf(t, d)))
		}
		return loads
	}
	for _, test := range []struct {
		name    string
		request string
		before  Loads
		want    bool
	}{
		{"iPXE in a ROM", ipxeROM, never, true},
		{"iPXE just started by a ROM", ipxeROM, loaded(5*time.Second, romSize, romLoad), true},
		{"iPXE, with its options the other way round", "\x00\x01a\x00octet\x00tsize\x000\x00blksize\x001432\x00", never, true},
		{"a ROM learning the size", romSize, never, false},
		{"a ROM loading", romLoad, Loads{Shapes: []Shape{{1}}}, false},
		{"OVMF learning the size", ovmfSize, never, false},
		{"OVMF loading", ovmfLoad, never, false},
		{"iPXE's block size with a window", "\x00\x01a\x00octet\x00blksize\x001432\x00tsize\x000\x00windowsize\x004\x00", never, false},
		{"iPXE's block size alone", "\x00\x01a\x00octet\x00blksize\x001432\x00", never, false},
		{"no options at all", plainLoad, never, false},
		{"the same ROM after a reset", romLoad, loaded(30*time.Second, romSize, romLoad), false},
		{"the same ROM learning the size after a reset", romSize, loaded(30*time.Second, romSize, romLoad), false},
		{"something else right after a load", plainLoad, loaded(5*time.Second, romSize, romLoad), true},
		{"something else at the last moment", plainLoad, loaded(ChainMemory-time.Second, romSize, romLoad), true},
		{"something else much later", plainLoad, loaded(ChainMemory, romSize, romLoad), false},
	} {
		if got := AskedByIPXE(requestOf(t, test.request), test.before, now); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := newHistory(Chain{Programs: []string{"undionly.kpxe"}, Script: func(netip.Addr) []byte { return []byte("#!ipxe") }})
	now := time.Unix(1_000_000, 0)
	for i := range 5 * maxRemembered {
		request := requestOf(t, romLoad)
		request.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 2070)
		request.Options = append(request.Options, Option{"x", fmt.Sprint(i)})
		h.script(request, now)
		h.completed(request, now)
		if len(h.loads) > maxRemembered {
			t.Fatalf("%d addresses are remembered", len(h.loads))
		}
	}
	for i := range 100 {
		request := requestOf(t, romLoad)
		request.Options = append(request.Options, Option{"x", fmt.Sprint(i)})
		h.script(request, now)
		if n := len(h.loads[load{request.Remote.Addr(), request.Name}].Shapes); n > maxShapes {
			t.Fatalf("%d shapes are remembered", n)
		}
	}
}

// What is remembered of a request does not grow with it.
func TestHistoryHoldsNoRequests(t *testing.T) {
	h := newHistory(Chain{Programs: []string{"undionly.kpxe"}, Script: func(netip.Addr) []byte { return nil }})
	before := heap()
	for i := range maxRemembered {
		for shape := range maxShapes {
			request := requestOf(t, romLoad)
			request.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 2070)
			request.Options = append(request.Options, Option{"x", strings.Repeat("v", 1400) + fmt.Sprint(i, shape)})
			h.script(request, time.Unix(1_000_000, 0))
		}
	}
	if grown := int64(heap()) - int64(before); grown > 2<<20 {
		t.Errorf("%d loads take %d bytes", len(h.loads), grown)
	}
	runtime.KeepAlive(h)
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestHistoryExpires(t *testing.T) {
	h := newHistory(Chain{Programs: []string{"undionly.kpxe"}, Script: func(netip.Addr) []byte { return []byte("#!ipxe") }})
	now := time.Unix(1_000_000, 0)
	h.script(requestOf(t, romLoad), now) // never completed
	now = now.Add(ChainMemory)
	h.script(requestOf(t, plainLoad), now)
	h.completed(requestOf(t, plainLoad), now)
	if h.script(requestOf(t, romLoad), now) == nil {
		t.Error("a request that led to nothing counts after it is out of date")
	}
	now = now.Add(ChainMemory)
	other := requestOf(t, romLoad)
	other.Remote = netip.MustParseAddrPort("172.30.0.78:2070")
	h.script(other, now)
	if len(h.loads) != 1 {
		t.Errorf("%d loads are remembered, want the last alone", len(h.loads))
	}
}
