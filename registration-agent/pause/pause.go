// Package pause waits for a time, or for the end of who wanted it. Waiting for a
// condition is the business of whoever knows the condition.
package pause

import (
	"context"
	"time"
)

// For returns after the duration, or with the context's error when that ends first.
func For(ctx context.Context, duration time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
