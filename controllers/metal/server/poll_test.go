package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// TestReadings follows what is known of a machine's power from one look at it to the next.
func TestReadings(t *testing.T) {
	silent := errors.New("no answer")

	for name, c := range map[string]struct {
		before  reading
		sees    power.State
		err     error
		patient bool
		want    reading
	}{
		"first":                     {sees: power.On, want: reading{state: power.On}},
		"as before":                 {before: reading{state: power.On}, sees: power.On, want: reading{state: power.On}},
		"done":                      {before: reading{state: power.On, told: power.Off}, sees: power.Off, patient: true, want: reading{state: power.Off}},
		"done late":                 {before: reading{state: power.On, told: power.Off}, sees: power.Off, want: reading{state: power.Off}},
		"not yet":                   {before: reading{state: power.On, told: power.Off}, sees: power.On, patient: true, want: reading{state: power.On, told: power.Off}},
		"not at all":                {before: reading{state: power.On, told: power.Off}, sees: power.On, want: reading{state: power.On, defies: true}},
		"told again":                {before: reading{state: power.On, told: power.Off, defies: true}, sees: power.On, patient: true, want: reading{state: power.On, told: power.Off, defies: true}},
		"still not":                 {before: reading{state: power.On, defies: true}, sees: power.On, want: reading{state: power.On, defies: true}},
		"done at last":              {before: reading{state: power.On, told: power.Off, defies: true}, sees: power.Off, want: reading{state: power.Off}},
		"a person has pressed it":   {before: reading{state: power.On, defies: true}, sees: power.Off, want: reading{state: power.Off}},
		"does not answer, patience": {before: reading{state: power.On, told: power.Off}, sees: power.Unknown, err: silent, patient: true, want: reading{power.Unknown, silent, power.Off, false}},
		"does not answer":           {before: reading{state: power.On, told: power.Off}, sees: power.Unknown, err: silent, want: reading{state: power.Unknown, err: silent}},
		"defies, answers again":     {before: reading{power.Unknown, silent, "", true}, sees: power.On, want: reading{state: power.On, defies: true}},
		"defied, does not answer":   {before: reading{state: power.On, defies: true}, sees: power.Unknown, err: silent, want: reading{power.Unknown, silent, "", true}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.before.then(c.sees, c.err, c.patient); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestNoNews holds that a machine which goes on not to answer is no news, whatever the numbers in the errors.
func TestNoNews(t *testing.T) {
	failed := errors.New("it hangs")
	open := func(failures int) error {
		return fmt.Errorf("ask it: %w", &power.OpenError{Cause: failed, Failures: failures, Until: time.Unix(int64(failures), 0)})
	}

	for name, c := range map[string]struct {
		a, b error
		want bool
	}{
		"nothing":             {nil, nil, true},
		"left alone":          {failed, open(3), true},
		"left alone longer":   {open(3), open(4), true},
		"another failure":     {failed, errors.New("wrong password"), false},
		"answers":             {open(3), nil, false},
		"another cause, open": {errors.New("wrong password"), open(3), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (reading{err: c.a}).same(reading{err: c.b}); got != c.want {
				t.Errorf("%q and %q: %v", text(c.a), text(c.b), got)
			}
		})
	}
}

// TestLeftAlone has a device that is left alone longer and longer: its status and its Events say no more than what is wrong.
func TestLeftAlone(t *testing.T) {
	told := func(failures int) v1alpha2.ServerStatus {
		err := fmt.Errorf("turn it on: %w", &power.OpenError{Cause: errors.New("it hangs"), Failures: failures, Until: time.Unix(int64(failures), 0)})

		var status v1alpha2.ServerStatus

		result{outcome: err, view: view{control: &control{}, reading: reading{state: power.Unknown, err: err}}}.write(&status)

		for i := range status.Conditions {
			status.Conditions[i].LastTransitionTime = metav1.Time{}
		}

		return status
	}

	if diff := cmp.Diff(told(3), told(4)); diff != "" {
		t.Error(diff)
	}
}

// TestNewsIsToldAgain finds nobody to take what has changed, and tells it at the next look.
func TestNewsIsToldAgain(t *testing.T) {
	for name, c := range map[string]struct {
		takes bool
		want  int
	}{"taken": {true, 1}, "not taken": {false, 3}} {
		told := 0
		p := &poller{every: time.Minute, changed: func(string) bool {
			told++

			return c.takes
		}}

		m := &polled{driver: &liar{state: power.On}}
		for range 3 {
			p.look(t.Context(), "a", m)
		}

		if told != c.want {
			t.Errorf("%s: told %d times", name, told)
		}
	}
}

// broken is a control that does not work.
type broken struct {
	power.Driver

	err   error
	looks int
}

func (b *broken) State(context.Context) (power.State, error) {
	b.looks++

	return power.Unknown, b.err
}

// TestSuperseded has a machine looked at by a driver in whose place there is another already: what it says is of other settings, and tells
// nothing of the machine.
func TestSuperseded(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		told int
		want power.State
	}{
		"superseded": {fmt.Errorf("read power state: %w", power.ErrSuperseded), 0, power.On},
		"broken":     {errors.New("no answer"), 1, power.Unknown},
	} {
		told := 0
		p := &poller{every: time.Minute, changed: func(string) bool {
			told++

			return true
		}}
		m := &polled{driver: &broken{err: c.err}, last: reading{state: power.On}}

		p.look(t.Context(), "a", m)

		if told != c.told || m.last.state != c.want || (m.last.err == nil) != (c.told == 0) || m.untold {
			t.Errorf("%s: told %d times, last seen %+v", name, told, m.last)
		}
	}
}

// TestDefied tells what the appliance wants in vain from what a person wanted once.
func TestDefied(t *testing.T) {
	for name, c := range map[string]struct {
		reading  reading
		decision Decision
		want     bool
	}{
		"obeys":              {reading{state: power.On}, Decision{Action: TurnOff}, false},
		"is told again":      {reading{state: power.On, defies: true}, Decision{Action: TurnOff}, true},
		"was told again":     {reading{state: power.On, told: power.Off, defies: true}, Decision{}, true},
		"nobody wants it":    {reading{state: power.On, defies: true}, Decision{}, false},
		"was told, has time": {reading{state: power.On, told: power.Off}, Decision{}, false},
		"a person asks":      {reading{state: power.On, defies: true}, Decision{Action: TurnOff, Request: true}, false},
	} {
		got := result{decision: c.decision, view: view{control: &control{}, reading: c.reading}}
		if reason, err := got.trouble(); (reason == reasonDefies) != c.want || (err != nil) != c.want {
			t.Errorf("%s: %q %v", name, reason, err)
		}
	}
}

// liar says that it does what it is told, and stays as it is.
type liar struct {
	power.Driver

	state power.State
}

func (l *liar) State(context.Context) (power.State, error) { return l.state, nil }

// TestDefiance has a machine followed that is told to turn off and does not.
func TestDefiance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		ctx, stop := context.WithCancel(t.Context())
		machine := &liar{state: power.On}
		p := &poller{every: time.Minute, machines: map[string]*polled{}, changed: func(string) bool {
			told++

			return true
		}}

		follow := func() reading { return p.follow(ctx, "a", &control{driver: machine}) }

		follow()
		synctest.Wait()
		p.expect("a", power.Off, false)

		if got := follow(); got.settled() != power.Off || got.state != power.On {
			t.Errorf("after it was told: %+v", got)
		}

		time.Sleep(30 * time.Second)

		if got := follow(); got.settled() != power.Off || got.defies {
			t.Errorf("half a minute later: %+v", got)
		}

		time.Sleep(2 * time.Minute)

		if got := follow(); got.settled() != power.On || !got.defies || told != 2 {
			t.Errorf("two minutes later: %+v, told %d times", got, told)
		}

		if p.expect("a", power.Off, false); !follow().defies {
			t.Error("told again, it obeys before anybody knows")
		}

		if p.expect("a", power.Off, true); follow().defies {
			t.Error("asked by a person, it is known to defy before anybody knows")
		}

		if p.failed("a", context.DeadlineExceeded); follow().err == nil {
			t.Error("what went wrong is forgotten before it is looked at again")
		}

		machine.state = power.Off

		time.Sleep(2 * time.Minute)

		if got := follow(); got != (reading{state: power.Off}) {
			t.Errorf("at last: %+v", got)
		}

		stop()
		synctest.Wait()
	})
}

// TestLooksSoonAfterSwitch has a machine that was switched looked at again soon when looks at it fail, also one after the other: it is
// told nothing more until it has shown what it was told, or had an interval for it.
func TestLooksSoonAfterSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := &poller{every: time.Minute, machines: map[string]*polled{}, changed: func(string) bool { return true }}
		busy := &broken{err: errors.New("busy")}

		p.follow(ctx, "s", &control{driver: busy})
		synctest.Wait()
		p.failed("s", errors.New("busy"))
		p.expect("s", power.On, false)
		time.Sleep(time.Minute / 2)
		synctest.Wait()

		if busy.looks < 5 {
			t.Errorf("in half a minute it was looked at %d times", busy.looks)
		}

		time.Sleep(time.Minute)
		synctest.Wait()

		looks := busy.looks

		time.Sleep(2 * time.Minute)
		synctest.Wait()

		if more := busy.looks - looks; more > 4 {
			t.Errorf("it was looked at %d times in two minutes, long after it was switched", more)
		}

		stop()
		synctest.Wait()
	})
}

// flaky fails one call, and works then.
type flaky struct {
	power.Driver

	looks int
}

func (f *flaky) State(context.Context) (power.State, error) {
	if f.looks++; f.looks == 1 {
		return power.Unknown, errors.New("busy")
	}

	return power.On, nil
}

// TestLooksSoon has one look that fails count for seconds, and a machine that goes on to fail left alone for as long as any other.
func TestLooksSoon(t *testing.T) {
	const soon = 10 * time.Second

	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := &poller{every: time.Minute, machines: map[string]*polled{}, changed: func(string) bool { return true }}
		gone := &broken{err: errors.New("gone")}

		p.follow(ctx, "flaky", &control{driver: &flaky{}})
		p.follow(ctx, "gone", &control{driver: gone})
		synctest.Wait()

		if got, _ := p.last("flaky"); got.err == nil {
			t.Error("the first look has not failed")
		}

		time.Sleep(soon)

		if got, _ := p.last("flaky"); got != (reading{state: power.On}) {
			t.Errorf("after a look that failed: %+v", got)
		}

		time.Sleep(time.Minute - soon)

		if gone.looks < 2 || gone.looks > 3 {
			t.Errorf("in a minute it was looked at %d times", gone.looks)
		}

		stop()
		synctest.Wait()
	})
}
