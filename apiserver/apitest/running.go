package apitest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const startsWithin = 60 * time.Second

// Component is a part of the appliance.
type Component interface {
	Name() string
	Run(ctx context.Context) error
	Ready(ctx context.Context) error
}

// Running is a component that runs.
type Running struct {
	component Component
	cancel    context.CancelFunc
	done      chan error
}

// Run runs a component until the test ends and waits until it is ready. Components stop in the order opposite to that of
// their start.
func Run(t testing.TB, c Component) {
	t.Helper()

	running, err := Begin(c)

	t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
	})

	if err != nil {
		t.Fatal(err)
	}
}

// Begin runs a component and waits until it is ready. It must be stopped also when that fails.
func Begin(c Component) (*Running, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{component: c, cancel: cancel, done: make(chan error, 1)}

	go func() { r.done <- c.Run(ctx) }()

	return r, r.await(ctx)
}

// Stop stops the component and reports how it ended, also when it has been stopped already.
func (r *Running) Stop() error {
	r.cancel()

	err := <-r.done
	r.done <- err

	if err != nil {
		return fmt.Errorf("%s: %w", r.component.Name(), err)
	}

	return nil
}

func (r *Running) await(ctx context.Context) error {
	late, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()

	for {
		err := r.component.Ready(late)
		if err == nil {
			return nil
		}

		select {
		case ended := <-r.done:
			r.done <- ended // for Stop

			return fmt.Errorf("%s ended before it was ready: %w", r.component.Name(), ended)
		case <-late.Done():
			return fmt.Errorf("%s is not ready: %w", r.component.Name(), err)
		case <-tick.C:
		}
	}
}
