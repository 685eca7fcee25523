package registration

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// maxAddresses is how many addresses are remembered.
const maxAddresses = 4096

// limiter bounds what each address may do.
type limiter struct {
	perSecond rate.Limit
	atOnce    int

	mu   sync.Mutex
	from map[netip.Addr]*rate.Limiter
}

func newLimiter(perSecond rate.Limit, atOnce int) *limiter {
	return &limiter{perSecond: perSecond, atOnce: atOnce, from: map[netip.Addr]*rate.Limiter{}}
}

func (l *limiter) allowed(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	bucket, known := l.from[from]
	if !known {
		if len(l.from) >= maxAddresses {
			clear(l.from) // all start anew, which harms nobody
		}

		bucket = rate.NewLimiter(l.perSecond, l.atOnce)
		l.from[from] = bucket
	}

	return bucket.Allow()
}

// address is the sender's, without the port.
func address(ctx context.Context) netip.Addr { return addressOf(remote(ctx)) }

// addressOf leaves the port out; all whose address cannot be told share one.
func addressOf(remote string) netip.Addr {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}

	return from.Addr().Unmap()
}
