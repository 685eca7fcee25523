package power

import (
	"context"
	"errors"
	"time"
)

// ErrSimulated is the error of calls that fail on purpose.
var ErrSimulated = errors.New("simulated failure")

// Failures says how often calls fail on purpose, as Sidero's --test-power-simulated-explicit-failure-prob and
// --test-power-simulated-silent-failure-prob.
type Failures struct {
	// Explicit is the share of calls, from 0 to 1, that fail with ErrSimulated.
	Explicit float64
	// Silent is the share of calls, from 0 to 1, that say they succeeded and did nothing. State says anything then.
	Silent float64
	// Random draws from [0, 1), and may be called at the same time.
	Random func() float64
	// Now is the clock: by its nanosecond a silent failure of State chooses what to say.
	Now func() time.Time
}

// Simulate makes a driver whose calls fail as often as told. One draw decides about both kinds.
func Simulate(driver Driver, failures Failures) Driver {
	return &simulated{Driver: driver, failures: failures}
}

type simulated struct {
	Driver
	failures Failures
}

// draw is true when the call has to be made.
func (s *simulated) draw() (bool, error) {
	drawn := s.failures.Random()
	if drawn < s.failures.Explicit {
		return false, ErrSimulated
	}
	return drawn >= s.failures.Explicit+s.failures.Silent, nil
}

func (s *simulated) do(call func() error) error {
	if really, err := s.draw(); !really {
		return err
	}
	return call()
}

func (s *simulated) State(ctx context.Context) (State, error) {
	really, err := s.draw()
	switch {
	case err != nil:
		return Unknown, err
	case really:
		return s.Driver.State(ctx)
	case s.failures.Now().UnixNano()%2 == 0:
		return On, nil
	}
	return Off, nil
}

func (s *simulated) On(ctx context.Context) error {
	return s.do(func() error { return s.Driver.On(ctx) })
}

func (s *simulated) Off(ctx context.Context) error {
	return s.do(func() error { return s.Driver.Off(ctx) })
}

func (s *simulated) Cycle(ctx context.Context) error {
	return s.do(func() error { return s.Driver.Cycle(ctx) })
}

func (s *simulated) BootFromNetwork(ctx context.Context, firmware Firmware) error {
	return s.do(func() error { return s.Driver.BootFromNetwork(ctx, firmware) })
}
