package power

import "context"

// When is a driver whose calls are made only while due returns nil. It is asked immediately before each try, when the device's turn has come:
// whoever waits for a slow device for minutes may not be wanted any more. Its error is the call's, and says nothing of the device.
func When(driver Driver, due func(context.Context) error) Driver {
	switch d := driver.(type) {
	case *guarded:
		return &guarded{guards: d.guards, key: d.key, open: d.open, due: due}
	case *simulated:
		return &simulated{Driver: When(d.Driver, due), failures: d.failures}
	default:
		return &conditional{Driver: driver, due: due}
	}
}

// notDueError is the error of a call that was not made because nobody wants it any more.
type notDueError struct{ error }

func (e *notDueError) Unwrap() error { return e.error }

// conditional is a driver that has no turns.
type conditional struct {
	Driver
	due func(context.Context) error
}

func (c *conditional) do(ctx context.Context, call func(context.Context) error) error {
	if err := c.due(ctx); err != nil {
		return &notDueError{err}
	}
	return call(ctx)
}

func (c *conditional) State(ctx context.Context) (State, error) {
	state := Unknown
	err := c.do(ctx, func(ctx context.Context) (err error) {
		state, err = c.Driver.State(ctx)
		return err
	})
	return state, err
}

func (c *conditional) On(ctx context.Context) error { return c.do(ctx, c.Driver.On) }

func (c *conditional) Off(ctx context.Context) error { return c.do(ctx, c.Driver.Off) }

func (c *conditional) Cycle(ctx context.Context) error { return c.do(ctx, c.Driver.Cycle) }

func (c *conditional) BootFromNetwork(ctx context.Context, firmware Firmware) error {
	return c.do(ctx, func(ctx context.Context) error { return c.Driver.BootFromNetwork(ctx, firmware) })
}
