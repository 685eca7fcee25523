package power_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

var errNoAnswer = errors.New("no answer")

// device is a driver whose calls do what the test says.
type device struct {
	do     func(ctx context.Context) error
	calls  atomic.Int32
	closed atomic.Int32
}

func (d *device) call(ctx context.Context) error {
	d.calls.Add(1)
	if d.do == nil {
		return nil
	}
	return d.do(ctx)
}

func (d *device) State(ctx context.Context) (power.State, error)              { return power.On, d.call(ctx) }
func (d *device) On(ctx context.Context) error                                { return d.call(ctx) }
func (d *device) Off(ctx context.Context) error                               { return d.call(ctx) }
func (d *device) Cycle(ctx context.Context) error                             { return d.call(ctx) }
func (d *device) BootFromNetwork(ctx context.Context, _ power.Firmware) error { return d.call(ctx) }
func (d *device) Close() error                                                { d.closed.Add(1); return nil }

func (d *device) open() (power.Driver, error) { return d, nil }

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func options() power.Options {
	options := power.DefaultOptions()
	options.Random = func() float64 { return 0 }
	return options
}

func bmc(name string) power.Key { return power.Key{Endpoint: name, Machine: "1", Revision: "1"} }

func TestGuardRetries(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		calls int32
		after time.Duration
	}{
		{"transient", errNoAnswer, 2, time.Second},
		{"refused", power.Classify(errNoAnswer, power.Refused), 1, 0},
		{"denied", power.Classify(errNoAnswer, power.Denied), 1, 0},
		{"none", nil, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &device{do: func(context.Context) error { return test.err }}
			driver := power.NewGuards(options()).Driver(bmc("a"), d.open)
			begin := time.Now()
			if err := driver.On(t.Context()); !errors.Is(err, test.err) {
				t.Errorf("%s: %v", test.name, err)
			}
			if calls, took := d.calls.Load(), time.Since(begin); calls != test.calls || took != test.after {
				t.Errorf("%s: %d calls in %s, want %d in %s", test.name, calls, took, test.calls, test.after)
			}
			if driver.Cycle(t.Context()); d.calls.Load() > test.calls+1 {
				t.Errorf("%s: Cycle was tried again", test.name)
			}
		})
	}
}

// TestGuardCalls: each method of a guarded driver is that of the driver.
func TestGuardCalls(t *testing.T) {
	d := &device{}
	driver := power.NewGuards(options()).Driver(bmc("a"), d.open)
	if state, err := driver.State(t.Context()); state != power.On || err != nil {
		t.Errorf("state is %s, %v", state, err)
	}
	for i, call := range []func() error{
		func() error { return driver.On(t.Context()) },
		func() error { return driver.Off(t.Context()) },
		func() error { return driver.Cycle(t.Context()) },
		func() error { return driver.BootFromNetwork(t.Context(), power.UEFI) },
	} {
		if err := call(); err != nil || int(d.calls.Load()) != i+2 {
			t.Errorf("call %d: %v, %d calls", i, err, d.calls.Load())
		}
	}
}

func TestGuardSerialisesByEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guards := power.NewGuards(options())
		var running atomic.Int32
		slow := &device{do: func(context.Context) error {
			if running.Add(1) > 1 {
				t.Error("two calls at the same time")
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		}}
		first, second := bmc("a"), bmc("a")
		second.Machine = "2"
		begin := time.Now()
		var all sync.WaitGroup
		for _, key := range []power.Key{first, second, first} {
			all.Go(func() { guards.Driver(key, slow.open).State(t.Context()) })
		}
		var other time.Duration
		all.Go(func() {
			guards.Driver(bmc("b"), (&device{}).open).State(t.Context())
			other = time.Since(begin)
		})
		all.Wait()
		if took := time.Since(begin); took != 3*time.Second || other != 0 {
			t.Errorf("three calls in %s, another device's in %s", took, other)
		}
	})
}

func TestGuardBoundsHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guards := power.NewGuards(options())
		driver := guards.Driver(bmc("a"), (&device{do: hang}).open)
		begin := time.Now()
		if err := driver.On(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 31*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		// The caller's own deadline counts as well, also while it waits for its turn.
		go driver.On(t.Context())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if err := driver.On(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		time.Sleep(time.Minute)
		// The third failure in a row: from here on calls fail at once, and queue nowhere.
		driver.On(t.Context())
		begin = time.Now()
		var open *power.OpenError
		if _, err := driver.State(t.Context()); !errors.As(err, &open) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 0 {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		time.Sleep(15 * time.Second)
		go driver.On(t.Context())
		synctest.Wait()
		begin = time.Now()
		if err := driver.On(t.Context()); !errors.As(err, &open) || time.Since(begin) != 0 {
			t.Errorf("beside the probe: %v after %s", err, time.Since(begin))
		}
		time.Sleep(time.Minute)
	})
}

func TestGuardRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &device{do: func(context.Context) error { return power.Classify(errNoAnswer, power.Denied) }}
		guards := power.NewGuards(options())
		old := guards.Driver(bmc("a"), d.open)
		old.On(t.Context())
		var open *power.OpenError
		if err := old.On(t.Context()); !errors.As(err, &open) || d.calls.Load() != 1 {
			t.Errorf("%v after %d calls", err, d.calls.Load())
		}
		// Another password: a new driver, no waiting.
		fresh := &device{}
		key := bmc("a")
		key.Revision = "2"
		driver := guards.Driver(key, fresh.open)
		if err := driver.On(t.Context()); err != nil || fresh.calls.Load() != 1 || d.closed.Load() != 1 {
			t.Errorf("%v, %d calls, %d closed", err, fresh.calls.Load(), d.closed.Load())
		}
		if err := old.On(t.Context()); !errors.Is(err, power.ErrSuperseded) || d.calls.Load() != 1 {
			t.Errorf("%v after %d calls", err, d.calls.Load())
		}
	})
}

func TestGuardsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guards := power.NewGuards(options())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- guards.Run(ctx) }()
		used, unused, hanging := &device{}, &device{}, &device{do: hang}
		driver := guards.Driver(bmc("unused"), unused.open)
		driver.State(t.Context())
		driver.Close()
		stuckCtx, stuck := context.WithCancel(t.Context())
		go guards.Driver(bmc("hanging"), hanging.open).On(stuckCtx)
		for range 15 {
			guards.Driver(bmc("used"), used.open).State(t.Context())
			time.Sleep(time.Minute)
		}
		if unused.closed.Load() != 1 || used.closed.Load() != 0 {
			t.Errorf("closed: unused %d, used %d", unused.closed.Load(), used.closed.Load())
		}
		// One that was closed opens again.
		if _, err := driver.State(t.Context()); err != nil || unused.calls.Load() != 2 {
			t.Errorf("%v after %d calls", err, unused.calls.Load())
		}
		stuck()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil || unused.closed.Load() != 2 || used.closed.Load() != 1 || hanging.closed.Load() != 1 {
			t.Errorf("%v, closed: %d, %d, %d", err, unused.closed.Load(), used.closed.Load(), hanging.closed.Load())
		}
	})
}

func TestGuardOpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := power.NewGuards(options()).Driver(bmc("a"), func() (power.Driver, error) { return nil, errNoAnswer })
		if _, err := driver.State(t.Context()); !errors.Is(err, errNoAnswer) {
			t.Error(err)
		}
	})
}
