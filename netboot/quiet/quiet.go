// Package quiet keeps logs readable when one machine, or one nuisance, causes the same line again and again: the first of
// a kind is logged at its level, its repetitions within a minute at debug level. It counts nothing: counters are exact.
package quiet

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// Interval is how long the repetitions of a line are held back.
	Interval = time.Minute
	// maxKinds bounds the lines of one interval, and the memory, whoever makes up senders: a large rack row twice over.
	maxKinds = 4096
)

// Gate remembers what was logged in the current interval. It is safe for concurrent use.
type Gate struct {
	now func() time.Time

	mu    sync.Mutex
	began time.Time
	seen  map[kind]struct{}
}

// kind is what lines have in common.
type kind struct{ who, what string }

// New is a gate with the given clock.
func New(now func() time.Time) *Gate { return &Gate{now: now, seen: map[kind]struct{}{}} }

// Level is the level to log a line at: the given one for the first line of its kind in an interval, else debug. who is a
// MAC address or a remote address without port, what is a reason; neither may be chosen freely by a client.
func (g *Gate) Level(level slog.Level, who, what string) slog.Level {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.now(); now.Sub(g.began) >= Interval {
		g.began = now
		clear(g.seen)
	}
	key := kind{who, what}
	if _, repeated := g.seen[key]; repeated || len(g.seen) >= maxKinds {
		return slog.LevelDebug
	}
	g.seen[key] = struct{}{}
	return level
}
