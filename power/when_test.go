package power_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// TestWhenTheTurnComes has a call wait for a slow device, after which nobody wants it any more; and one that is tried again.
func TestWhenTheTurnComes(t *testing.T) {
	for name, failures := range map[string]power.Failures{"": {}, "simulated": {Random: func() float64 { return 1 }}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				unwanted := errors.New("not wanted any more")
				calls := 0
				slow := &device{do: func(context.Context) error {
					calls++
					time.Sleep(10 * time.Second)

					return errNoAnswer
				}}
				wanted := time.Now().Add(5 * time.Second)
				due := func(context.Context) error {
					if time.Now().After(wanted) {
						return unwanted
					}

					return nil
				}
				guards := power.NewGuards(options())
				driver := func() power.Driver {
					return power.When(power.Simulate(guards.Driver(bmc("a"), slow.open), failures), due)
				}

				if failures.Random == nil {
					driver = func() power.Driver { return power.When(guards.Driver(bmc("a"), slow.open), due) }
				}

				var all sync.WaitGroup

				for range 3 {
					all.Go(func() {
						if err := driver().On(t.Context()); !errors.Is(err, unwanted) {
							t.Errorf("got %v", err)
						}
					})
				}

				all.Wait()

				if calls != 1 {
					t.Errorf("made %d calls", calls)
				}

				// What was not asked has not failed: the first one's breaker lets through what is wanted.
				slow.do = func(context.Context) error { return nil }
				if err := guards.Driver(bmc("a"), slow.open).On(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
