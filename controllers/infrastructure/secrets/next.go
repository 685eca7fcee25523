package secrets

import "time"

// patience is how long Secrets that are deleted are kept at most: longer than machines wait for their nodes, which go at once.
const patience = 10 * time.Minute

// facts are what is decided by.
type facts struct {
	now time.Time
	// deleted is when the Secret was deleted, zero when it was not.
	deleted time.Time
	// held tells whether it is kept by the finalizer.
	held bool
	// needed tells whether there are nodes that nothing but these secrets has restart.
	needed bool
}

type action int

const (
	leave action = iota
	// hold sets the finalizer.
	hold
	// release removes it.
	release
)

// next decides whether a Secret is kept, and how soon that ends by itself: zero when it does not.
func next(f facts) (action, time.Duration) {
	left := f.deleted.Add(patience).Sub(f.now)

	switch {
	case f.held && !f.needed:
		return release, 0
	case f.deleted.IsZero() && f.needed && !f.held:
		return hold, 0
	case f.deleted.IsZero() || !f.held:
		return leave, 0
	case left <= 0 || left > patience: // the latter by a clock that was set back
		return release, 0
	default:
		return leave, left
	}
}
