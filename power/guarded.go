package power

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power/internal/pause"
)

// ErrSuperseded is the error of calls through a driver whose machine has another revision by now.
var ErrSuperseded = errors.New("the settings of the machine's power have changed: ask for its driver again")

// guarded is one machine's driver as callers see it.
type guarded struct {
	guards *Guards
	key    Key
	open   func() (Driver, error)
	// due tells why a call is not to be made any more; nil when all are.
	due func(context.Context) error
}

// State asks whether the machine has power.
func (d *guarded) State(ctx context.Context) (State, error) {
	state := Unknown
	err := d.call(ctx, d.guards.options.Tries, func(ctx context.Context, driver Driver) (err error) {
		state, err = driver.State(ctx)
		return err
	})
	return state, err
}

// On gives the machine power.
func (d *guarded) On(ctx context.Context) error {
	return d.call(ctx, d.guards.options.Tries, func(ctx context.Context, driver Driver) error { return driver.On(ctx) })
}

// Off takes the machine's power.
func (d *guarded) Off(ctx context.Context) error {
	return d.call(ctx, d.guards.options.Tries, func(ctx context.Context, driver Driver) error { return driver.Off(ctx) })
}

// Cycle is tried once: when the answer is lost it may have happened, and a second one would be one too many.
func (d *guarded) Cycle(ctx context.Context) error {
	return d.call(ctx, 1, func(ctx context.Context, driver Driver) error { return driver.Cycle(ctx) })
}

// BootFromNetwork makes the machine's next boot one from the network.
func (d *guarded) BootFromNetwork(ctx context.Context, firmware Firmware) error {
	return d.call(ctx, d.guards.options.Tries, func(ctx context.Context, driver Driver) error {
		return driver.BootFromNetwork(ctx, firmware)
	})
}

// Close leaves the driver to the next one with the same key.
func (d *guarded) Close() error { return nil }

// call makes a call in its turn.
func (d *guarded) call(ctx context.Context, tries int, do func(context.Context, Driver) error) error {
	at, of := d.begin()
	defer d.end(at)
	// Nobody queues for a device that is not asked anyway.
	if err := d.admit(at, of, false); err != nil {
		return err
	}
	select {
	case at.turn <- struct{}{}:
		defer func() { <-at.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for other calls to the same device: %w", ctx.Err())
	}
	if err := d.admit(at, of, true); err != nil {
		return err
	}
	err := d.try(ctx, tries, of, do)
	d.report(at, of, err)
	return err
}

func (d *guarded) begin() (*endpoint, *machine) {
	d.guards.mu.Lock()
	defer d.guards.mu.Unlock()
	at, of := d.guards.find(d.key)
	at.calls++
	return at, of
}

func (d *guarded) end(at *endpoint) {
	d.guards.mu.Lock()
	defer d.guards.mu.Unlock()
	at.calls--
}

func (d *guarded) admit(at *endpoint, of *machine, now bool) error {
	d.guards.mu.Lock()
	defer d.guards.mu.Unlock()
	if of.revision != d.key.Revision {
		return ErrSuperseded
	}
	if now {
		return at.breaker.admit(time.Now())
	}
	return at.breaker.open(time.Now())
}

func (d *guarded) report(at *endpoint, of *machine, err error) {
	d.guards.mu.Lock()
	defer d.guards.mu.Unlock()
	of.used = time.Now()
	// What an old password led to says nothing of the new one.
	if of.revision == d.key.Revision {
		at.breaker.report(of.used, d.guards.options.Random(), err)
	}
}

// try makes a call until it succeeds, or trying again is of no use.
func (d *guarded) try(ctx context.Context, tries int, of *machine, do func(context.Context, Driver) error) error {
	options := d.guards.options
	for failures := 1; ; failures++ {
		if d.due != nil {
			if err := d.due(ctx); err != nil {
				return &notDueError{err}
			}
		}
		err := d.once(ctx, of, do)
		if err == nil || ClassOf(err) != Transient || failures >= tries || ctx.Err() != nil {
			return err
		}
		if pause.For(ctx, options.Retry.Delay(failures, options.Random())) != nil {
			return err
		}
	}
}

func (d *guarded) once(ctx context.Context, of *machine, do func(context.Context, Driver) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.guards.options.Timeout)
	defer cancel()
	if of.driver != nil && of.opened != d.key.Revision {
		_ = of.driver.Close() // of a session that nobody wants any more
		of.driver = nil
	}
	if of.driver == nil {
		driver, err := d.open()
		if err != nil {
			return fmt.Errorf("open power driver: %w", err)
		}
		of.driver, of.opened = driver, d.key.Revision
	}
	return do(ctx, of.driver)
}
