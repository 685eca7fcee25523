package httpboot

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// hall is an address with many machines behind it.
func hall(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

// fill has an address take all that it gets.
func (l *listener) fill(from netip.Addr) (got int) {
	for l.take(from) == "" {
		got++
	}
	return got
}

// TestShares: thousands of machines may wait behind one address, and still there is room for others.
func TestShares(t *testing.T) {
	l := &listener{limits: Limits{Connections: 4096, ConnectionsPerAddress: 64}, addresses: map[netip.Addr]int{}}
	for n, want := range []int{2048, 1024, 512, 256, 128, 64, 64} {
		if got := l.fill(hall(byte(n))); got != want {
			t.Errorf("address %d gets %d, want %d", n, got, want)
		}
	}
	if got := l.fill(hall(100)); got != 0 || l.open != 4096 {
		t.Errorf("the last gets %d of %d", got, l.open)
	}
	// What one gives back is not taken by who has most.
	l.give(hall(0))
	if l.take(hall(0)) == "" || l.take(hall(100)) != "" {
		t.Error("who has half of all gets the last one, too")
	}
}

// TestSharesAreFair: whoever comes and goes, an address with fewer than its share is refused only when nothing is free, and no
// more are open than there may be.
func TestSharesAreFair(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	l := &listener{limits: Limits{Connections: 200, ConnectionsPerAddress: 8}, addresses: map[netip.Addr]int{}}
	for range 20000 {
		from := hall(byte(random.IntN(40)))
		if random.IntN(5) == 0 {
			from = hall(0) // who asks for most
		}
		has, free := l.addresses[from], 200-l.open
		if has > 0 && random.IntN(3) == 0 {
			l.give(from)
			continue
		}
		switch taken := l.take(from) == ""; {
		case !taken && free > 0 && has < 8:
			t.Fatalf("one that has %d is refused, and %d are free", has, free)
		case taken && has >= 100:
			t.Fatalf("one has more than half of all")
		}
	}
	total := 0
	for _, n := range l.addresses {
		total += n
	}
	if total != l.open || total > 200 {
		t.Errorf("%d are open, %d counted", total, l.open)
	}
}
