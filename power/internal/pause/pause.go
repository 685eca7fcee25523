// Package pause is the wait between two things that a driver does to a device.
package pause

import (
	"context"
	"time"
)

// For returns after the duration, or with the context's error when that ends first.
func For(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
