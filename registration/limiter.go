package registration

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// maxSenders is how many addresses, or names, are remembered.
const maxSenders = 4096

// limiter bounds what each address, or name, may do.
type limiter[From comparable] struct {
	perSecond rate.Limit
	atOnce    int

	mu   sync.Mutex
	from map[From]*rate.Limiter
}

func newLimiter[From comparable](perSecond rate.Limit, atOnce int) *limiter[From] {
	return &limiter[From]{perSecond: perSecond, atOnce: atOnce, from: map[From]*rate.Limiter{}}
}

func (l *limiter[From]) allowed(from From) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	bucket, known := l.from[from]
	if !known {
		if len(l.from) >= maxSenders {
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
