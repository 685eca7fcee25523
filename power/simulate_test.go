package power_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

func TestSimulate(t *testing.T) {
	var drawn float64
	now := time.Unix(0, 0)
	d := &device{}
	driver := power.Simulate(d, power.Failures{
		Explicit: 0.1, Silent: 0.2,
		Random: func() float64 { return drawn }, Now: func() time.Time { return now },
	})
	calls := map[string]func(context.Context) error{
		"on": driver.On, "off": driver.Off, "cycle": driver.Cycle,
		"boot":  func(ctx context.Context) error { return driver.BootFromNetwork(ctx, power.BIOS) },
		"state": func(ctx context.Context) error { _, err := driver.State(ctx); return err },
	}
	for _, test := range []struct {
		drawn float64
		err   error
		calls int32
	}{
		{0, power.ErrSimulated, 0},
		{0.0999, power.ErrSimulated, 0},
		{0.1, nil, 0},
		{0.2999, nil, 0},
		{0.3001, nil, 1},
		{0.9999, nil, 1},
	} {
		for name, call := range calls {
			drawn = test.drawn
			d.calls.Store(0)
			if err := call(t.Context()); !errors.Is(err, test.err) || d.calls.Load() != test.calls {
				t.Errorf("%s, drawn %v: %v, %d calls", name, drawn, err, d.calls.Load())
			}
		}
	}
	// A silent failure of State says anything.
	drawn = 0.2
	for nanosecond, want := range []power.State{power.On, power.Off} {
		now = time.Unix(0, int64(nanosecond))
		if got, err := driver.State(t.Context()); got != want || err != nil {
			t.Errorf("nanosecond %d: %s, %v", nanosecond, got, err)
		}
	}
	if driver.Close(); d.closed.Load() != 1 {
		t.Error("not closed")
	}
}
