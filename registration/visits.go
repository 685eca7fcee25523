package registration

import (
	"sync"
	"time"
)

// An agent that waits registers again every five minutes. A machine that comes earlier or later was started anew.
const (
	refreshFrom = 5*time.Minute - 30*time.Second
	refreshTo   = 5*time.Minute + 30*time.Second

	// maxVisits is how many machines are remembered: as many as there can be.
	maxVisits = maxWaiting + maxAccepted
)

// visits remembers when each known machine registered last. It is safe for concurrent use.
type visits struct {
	now func() time.Time

	mu   sync.Mutex
	last map[string]time.Time
}

func newVisits(now func() time.Time) *visits { return &visits{now: now, last: map[string]time.Time{}} }

// refresh notes that a machine registered and tells whether it only said again what it is.
func (v *visits) refresh(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()

	now := v.now()
	last, known := v.last[name]

	if !known && len(v.last) >= maxVisits {
		clear(v.last) // their next line of the log comes early, which harms nobody
	}

	v.last[name] = now
	ago := now.Sub(last)

	return known && refreshFrom <= ago && ago <= refreshTo
}
