package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDisk = errors.New("disk on fire")

// diary is what happened, in order, over all fakes of one test.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) write(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.entries, " ")
}

// fake is a component whose behaviour a test sets.
type fake struct {
	name       string
	diary      *diary
	readyAfter time.Duration // from the call of Run; negative: never
	stopTakes  time.Duration
	stopErr    error
	endAfter   time.Duration // from the call of Run, if not zero
	endErr     error

	mu      sync.Mutex
	began   time.Time
	running bool
}

func (f *fake) Name() string { return f.name }

func (f *fake) Run(ctx context.Context) error {
	f.set(true)
	defer f.set(false)
	f.diary.write("+" + f.name)
	var end <-chan time.Time
	if f.endAfter != 0 {
		end = time.After(f.endAfter)
	}
	select {
	case <-end:
		f.diary.write("!" + f.name)
		return f.endErr
	case <-ctx.Done():
		time.Sleep(f.stopTakes) // fake time: every test runs in a synctest bubble
		f.diary.write("-" + f.name)
		return f.stopErr
	}
}

func (f *fake) set(running bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running, f.began = running, time.Now()
}

func (f *fake) Ready(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		return errors.New("not running")
	}
	if f.readyAfter < 0 || time.Since(f.began) < f.readyAfter {
		return errors.New("warming up")
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// runFor runs the supervisor and asks it to stop after d of fake time.
func runFor(t *testing.T, d time.Duration, cfg Config) error {
	t.Helper()
	cfg.Log = quiet()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return New(cfg).Run(ctx)
}

func TestLife(t *testing.T) {
	tests := []struct {
		name    string
		fakes   []*fake
		runFor  time.Duration
		diary   string
		wantErr []string // each must be in the error; none: no error
	}{
		{
			name:   "starts in order, stops in the opposite order",
			fakes:  []*fake{{name: "etcd", readyAfter: time.Second}, {name: "api", readyAfter: time.Second}, {name: "dhcp"}},
			runFor: time.Hour,
			diary:  "+etcd +api +dhcp ready stopping -dhcp -api -etcd",
		},
		{
			name:   "told to stop while starting",
			fakes:  []*fake{{name: "etcd"}, {name: "api", readyAfter: time.Minute}, {name: "dhcp"}},
			runFor: time.Second,
			diary:  "+etcd +api stopping -api -etcd",
		},
		{
			name:    "fails while starting",
			fakes:   []*fake{{name: "etcd"}, {name: "api", readyAfter: -1, endAfter: time.Second, endErr: errDisk}, {name: "dhcp"}},
			runFor:  time.Hour,
			diary:   "+etcd +api !api stopping -etcd",
			wantErr: []string{"start api: disk on fire"},
		},
		{
			name:    "one below fails while another starts",
			fakes:   []*fake{{name: "etcd", endAfter: time.Second, endErr: errDisk}, {name: "api", readyAfter: -1}},
			runFor:  time.Hour,
			diary:   "+etcd +api !etcd stopping -api",
			wantErr: []string{"start api: run etcd: disk on fire"},
		},
		{
			name:    "never becomes ready",
			fakes:   []*fake{{name: "etcd"}, {name: "api", readyAfter: -1}},
			runFor:  time.Hour,
			diary:   "+etcd +api stopping -api -etcd",
			wantErr: []string{"start api: not ready after 2m0s: warming up"},
		},
		{
			name:    "ends early with an error",
			fakes:   []*fake{{name: "etcd"}, {name: "api", endAfter: time.Minute, endErr: errDisk}, {name: "dhcp"}},
			runFor:  time.Hour,
			diary:   "+etcd +api +dhcp ready !api stopping -dhcp -etcd",
			wantErr: []string{"run api: disk on fire"},
		},
		{
			name:    "ends early without an error",
			fakes:   []*fake{{name: "etcd"}, {name: "api", endAfter: time.Minute}},
			runFor:  time.Hour,
			diary:   "+etcd +api ready !api stopping -etcd",
			wantErr: []string{"run api: ended without being told to"},
		},
		{
			name:    "fails while stopping",
			fakes:   []*fake{{name: "etcd", stopErr: errDisk}, {name: "api"}},
			runFor:  time.Hour,
			diary:   "+etcd +api ready stopping -api -etcd",
			wantErr: []string{"stop etcd: disk on fire"},
		},
		{
			name:    "two things go wrong",
			fakes:   []*fake{{name: "etcd", stopErr: errDisk}, {name: "api", endAfter: time.Second, endErr: errors.New("no memory")}},
			runFor:  time.Hour,
			diary:   "+etcd +api ready !api stopping -etcd",
			wantErr: []string{"run api: no memory", "stop etcd: disk on fire"},
		},
		{
			name:   "a slow stop delays what is below",
			fakes:  []*fake{{name: "etcd"}, {name: "api", stopTakes: 5 * time.Second}},
			runFor: time.Hour,
			diary:  "+etcd +api ready stopping -api -etcd",
		},
		{
			name:   "nothing to run",
			runFor: time.Hour,
			diary:  "ready stopping",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The bubble also fails the test if a goroutine is left behind.
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				cfg := Config{
					OnReady: func() { d.write("ready") },
					OnStop:  func() { d.write("stopping") },
				}
				for _, f := range test.fakes {
					f.diary = d
					cfg.Components = append(cfg.Components, f)
				}
				err := runFor(t, test.runFor, cfg)
				checkError(t, err, test.wantErr)
				if got := d.read(); got != test.diary {
					t.Errorf("what happened:\n got %s\nwant %s", got, test.diary)
				}
			})
		})
	}
}

func checkError(t *testing.T, err error, want []string) {
	t.Helper()
	if len(want) == 0 && err != nil {
		t.Errorf("unexpected error: %v", err)
	}
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error is %v, want one that contains %q", err, w)
		}
	}
}

func TestOneThatHangsIsLeftBehindAndTheRestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		begin := time.Now()
		err := runFor(t, time.Minute, Config{Components: []Component{
			&fake{name: "etcd", diary: d, stopTakes: 400 * time.Millisecond},
			&fake{name: "api", diary: d, stopTakes: time.Hour},
			&fake{name: "dhcp", diary: d, stopTakes: time.Second},
		}})
		checkError(t, err, []string{"stop api: still running after its time to stop"})
		if got, want := d.read(), "+etcd +api +dhcp -dhcp -etcd"; got != want {
			t.Errorf("what happened: got %s, want %s", got, want)
		}
		// 1 s for dhcp, 8.5 s for api, 0.4 s for etcd out of the half second kept back.
		if took := time.Since(begin) - time.Minute; took > 10*time.Second {
			t.Errorf("stopping took %s, want at most 10s", took)
		}
		time.Sleep(2 * time.Hour) // lets the fake that hangs end inside the bubble
	})
}

func TestRunningTransfersMayFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		begin := time.Now()
		err := runFor(t, time.Minute, Config{Components: []Component{
			&fake{name: "api", diary: d, stopTakes: 9 * time.Second},
			Draining(&fake{name: "http", diary: d, stopTakes: 25 * time.Second}, 30*time.Second),
		}})
		checkError(t, err, nil)
		if got, want := d.read(), "+api +http -http -api"; got != want {
			t.Errorf("what happened: got %s, want %s", got, want)
		}
		if took := time.Since(begin) - time.Minute; took != 34*time.Second {
			t.Errorf("stopping took %s, want 34s", took)
		}
	})
}

func TestDrainingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		err := runFor(t, time.Minute, Config{Components: []Component{
			Draining(&fake{name: "http", diary: d, stopTakes: 31 * time.Second}, 30*time.Second),
		}})
		checkError(t, err, []string{"stop http: still running"})
		time.Sleep(time.Minute)
	})
}

func TestChecksNameWhatDoesNotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		etcd := &fake{name: "etcd", diary: d, readyAfter: time.Second, stopTakes: time.Second}
		api := &fake{name: "api", diary: d, readyAfter: time.Second}
		s := New(Config{Components: []Component{etcd, api}, Log: quiet()})
		ready := func() string {
			var not []string
			for _, check := range s.Checks(t.Context()) {
				if check.Err != nil {
					not = append(not, fmt.Sprintf("%s: %v", check.Name, check.Err))
				}
			}
			if not == nil {
				return "ok"
			}
			return strings.Join(not, "\n")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		got := []string{ready()}
		go func() { done <- s.Run(ctx) }()
		for range 3 { // 0.5 s, 1.5 s and 2.5 s after the start
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			got = append(got, ready())
			time.Sleep(500 * time.Millisecond)
		}
		api.set(false) // broken, though it still runs
		got = append(got, ready())
		cancel()
		synctest.Wait()
		got = append(got, ready())
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := []string{
			"etcd: not started yet\napi: not started yet",
			"etcd: warming up\napi: not started yet",
			"api: warming up",
			"ok",
			"api: not running",
			"etcd: stopping\napi: stopping",
		}
		if !slices.Equal(got, want) {
			t.Errorf("readiness over time:\n got %q\nwant %q", got, want)
		}
	})
}

func TestALayerBelowIsNotCancelledBeforeTheOneAboveReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		upper := &fake{name: "api", diary: d, stopTakes: 3 * time.Second}
		lower := &watcher{fake: fake{name: "etcd", diary: d}, above: upper}
		if err := runFor(t, time.Minute, Config{Components: []Component{lower, upper}}); err != nil {
			t.Fatal(err)
		}
		if lower.sawAbove {
			t.Error("the lower layer's context ended while the upper one still ran")
		}
	})
}

// TestAStartingComponentMayFinishItsStart when the stop comes amid it, within bounds.
func TestAStartingComponentMayFinishItsStart(t *testing.T) {
	for name, test := range map[string]struct{ readyAfter, stopsAt time.Duration }{
		"soon ready":  {3 * time.Second, 3 * time.Second},
		"never ready": {-1, time.Second + startGrace},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				began := time.Now()
				if err := runFor(t, time.Second, Config{Components: []Component{
					&fake{name: "api", diary: d, readyAfter: test.readyAfter}, &fake{name: "http", diary: d},
				}}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < test.stopsAt || took > test.stopsAt+lastPoll {
					t.Errorf("stopped after %s, want %s", took, test.stopsAt)
				}
				if strings.Contains(d.read(), "http") {
					t.Errorf("the next component was started: %s", d.read())
				}
			})
		})
	}
}

// watcher notes whether the component above it was running when its context ended.
type watcher struct {
	fake
	above    *fake
	sawAbove bool
}

func (w *watcher) Run(ctx context.Context) error {
	w.set(true)
	<-ctx.Done()
	w.above.mu.Lock()
	defer w.above.mu.Unlock()
	w.sawAbove = w.above.running
	return nil
}

func TestStopTimeIsShared(t *testing.T) {
	for _, components := range []int{1, 3, 10, 50} {
		b := newBudget(10*time.Second, components)
		var total time.Duration
		for i := range components {
			d := b.grant(&fake{})
			if d <= 0 {
				t.Fatalf("%d components: number %d gets %s", components, i+1, d)
			}
			b.spend(&fake{}, d)
			total += d
		}
		if total > 10*time.Second {
			t.Errorf("%d components that all hang take %s, want at most 10s", components, total)
		}
	}
}

// TestExceptedComponentIsNotAsked: the API server's readiness asks for everybody
// else's, so asking it here would go round for ever.
func TestExceptedComponentIsNotAsked(t *testing.T) {
	d := &diary{}
	api := &asksTheRest{Component: &fake{name: "api", diary: d}}
	s := New(Config{Components: []Component{&fake{name: "etcd", diary: d}, api}, Log: quiet()})
	api.rest = func(ctx context.Context) []Check { return s.Checks(ctx, "api") }
	ctx, cancel := context.WithCancel(t.Context())
	s.cfg.OnReady = cancel
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if api.asked == 0 || len(api.answer) != 1 || api.answer[0].Name != "etcd" {
		t.Errorf("asked %d times, the rest is %v, want etcd alone", api.asked, api.answer)
	}
}

// asksTheRest is ready when the others are.
type asksTheRest struct {
	Component
	rest   func(context.Context) []Check
	asked  int
	answer []Check
}

func (a *asksTheRest) Ready(ctx context.Context) error {
	a.asked++
	a.answer = a.rest(ctx)
	return a.Component.Ready(ctx)
}
