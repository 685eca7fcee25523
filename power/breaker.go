package power

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OpenError is the error of a call that was not made, because those before it failed.
type OpenError struct {
	// Cause is what the last call failed with.
	Cause error
	// Failures is how many calls failed in a row.
	Failures int
	// Until is when the next call goes through.
	Until time.Time
}

// Error says when the next call goes through, and the cause.
func (e *OpenError) Error() string {
	return fmt.Sprintf("not tried before %s, the last %d calls failed: %v", e.Until.UTC().Format(time.RFC3339), e.Failures, e.Cause)
}

// Unwrap is the cause: an open breaker has the class of what opened it.
func (e *OpenError) Unwrap() error { return e.Cause }

// breaker lets no calls through for a while when several have failed in a row. It has no lock and no clock.
type breaker struct {
	limit    int
	backoff  Backoff
	failures int
	cause    error
	until    time.Time
	probing  bool
}

// open is the error of calls that are not made now.
func (b *breaker) open(now time.Time) error {
	if b.failures < b.limit || !b.probing && !now.Before(b.until) {
		return nil
	}
	return &OpenError{Cause: b.cause, Failures: b.failures, Until: b.until}
}

// admit lets a call through, which must be reported, or not. Of those that wait for the pause to end, one goes first.
func (b *breaker) admit(now time.Time) error {
	if err := b.open(now); err != nil {
		return err
	}
	b.probing = b.failures >= b.limit
	return nil
}

// report takes the outcome of a call that was admitted.
func (b *breaker) report(now time.Time, random float64, err error) {
	b.probing = false
	var undue *notDueError
	switch {
	case errors.As(err, &undue):
		// The device was not asked.
	case err == nil || ClassOf(err) == Refused:
		b.failures, b.cause = 0, nil
	case errors.Is(err, context.Canceled):
		// The caller went away, which says nothing of the device.
	default:
		b.failures++
		b.cause = err
		// Each wrong password may be the one that locks the account.
		if ClassOf(err) == Denied {
			b.failures = max(b.failures, b.limit)
		}
		b.until = now.Add(b.backoff.Delay(b.failures-b.limit+1, random))
	}
}
