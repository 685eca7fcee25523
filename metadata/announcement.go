package metadata

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// announcesAgain is how long it takes until writing is tried again.
const announcesAgain = 2 * time.Second

// Announcement is the component that writes down where nodes report to, for people whose commands render configurations.
type Announcement struct {
	Records Records
	// Link is that of a Service.
	Link func() (Link, error)
	Log  *slog.Logger

	written atomic.Bool
}

// Name identifies the component.
func (*Announcement) Name() string { return "metadata-announcement" }

// Ready tells whether it is written.
func (a *Announcement) Ready(context.Context) error {
	if !a.written.Load() {
		return ErrNoLink
	}

	return nil
}

// Run writes once, and then waits until ctx ends.
func (a *Announcement) Run(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, announcesAgain, true, func(ctx context.Context) (bool, error) {
		err := a.write(ctx)
		if err != nil && ctx.Err() == nil {
			a.Log.Warn("where nodes report to is not written", "error", err)
		}

		return err == nil, nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return err //nolint:wrapcheck // of the context
	}

	a.written.Store(true)
	defer a.written.Store(false)

	<-ctx.Done()

	return nil
}

func (a *Announcement) write(ctx context.Context) error {
	link, err := a.Link()
	if err != nil {
		return err
	}

	ctx, stop := context.WithTimeout(ctx, writesWithin)
	defer stop()

	return a.Records.WriteLink(ctx, link)
}
