package lease

import (
	"context"
	"log/slog"
	"time"
)

// Persistent works until ctx ends, and begins again some time after a failure. Work that does not end in order is not waited for
// by others.
func Persistent(work func(context.Context) error, again time.Duration, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			err := work(ctx)

			if ctx.Err() != nil {
				if err != nil {
					log.Warn("controllers did not end in order", "error", err)
				}

				return nil
			}

			log.Error("controllers ended; they are started again", "error", err, "duration", again)

			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
	}
}
