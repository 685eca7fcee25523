package download

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// paceWindow is how long a transfer is watched, connecting included.
	paceWindow = time.Minute
	// leastPace is how many bytes have to come in that time. Slower ones are cut, and go on with the next attempt: a server
	// that drips would hold a place for ever.
	leastPace = 64 << 10
)

// pace ends a context when too little moves.
type pace struct {
	moved atomic.Int64
	timer *time.Timer
	end   context.CancelCauseFunc
}

func keepPace(parent context.Context) (context.Context, *pace) {
	ctx, end := context.WithCancelCause(parent)
	p := &pace{end: end}
	p.timer = time.AfterFunc(paceWindow, p.look)
	return ctx, p
}

func (p *pace) look() {
	if p.moved.Swap(0) < leastPace {
		p.end(errStalled)
		return
	}
	p.timer.Reset(paceWindow)
}

func (p *pace) stop() {
	p.timer.Stop()
	p.end(context.Canceled)
}
