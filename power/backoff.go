package power

import "time"

// Backoff is how waits grow from one failure to the next: they double.
type Backoff struct {
	First, Most time.Duration
}

// Delay is the wait after so many failures, the first of them being 1. Random, from [0, 1), takes up to half of it away, so
// that what failed together does not come back together.
func (b Backoff) Delay(failures int, random float64) time.Duration {
	delay := b.First
	for ; failures > 1 && delay < b.Most; failures-- {
		delay *= 2
	}
	delay = min(delay, b.Most)
	return delay - time.Duration(random*float64(delay)/2)
}
