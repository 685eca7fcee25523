package power

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	backoff := Backoff{First: 2 * time.Second, Most: 15 * time.Second}
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
	}{
		{1, 0, 2 * time.Second},
		{2, 0, 4 * time.Second},
		{3, 0, 8 * time.Second},
		{4, 0, 15 * time.Second},
		{1 << 30, 0, 15 * time.Second},
		{0, 0, 2 * time.Second},
		{2, 0.5, 3 * time.Second},
		{4, 0.999999, 7500007500 * time.Nanosecond},
	} {
		if got := backoff.Delay(test.failures, test.random); got != test.want {
			t.Errorf("%d failures, random %v: %s, want %s", test.failures, test.random, got, test.want)
		}
	}
	if got := (Backoff{}).Delay(5, 0.5); got != 0 {
		t.Errorf("no backoff: %s", got)
	}
}

func TestClassOf(t *testing.T) {
	plain := errors.New("plain")
	for _, test := range []struct {
		err  error
		want Class
	}{
		{plain, Transient},
		{nil, Transient},
		{Classify(plain, Denied), Denied},
		{fmt.Errorf("turn on: %w", Classify(plain, Refused)), Refused},
		{&NeedsPersonError{Action: "press the button"}, Refused},
		{Classify(&NeedsPersonError{}, Transient), Transient},
		{&OpenError{Cause: Classify(plain, Denied)}, Denied},
	} {
		if got := ClassOf(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
	if err := Classify(plain, Denied); err.Error() != "plain" || !errors.Is(err, plain) {
		t.Errorf("classified: %v", err)
	}
	if Classify(nil, Denied) != nil {
		t.Error("nil is an error")
	}
}

func TestBreaker(t *testing.T) {
	failure := errors.New("no answer")
	// Each step is a call at that second. One that is let through ends with result, at once.
	type step struct {
		second  int
		result  error
		refused bool
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"failures in a row", []step{
			{0, failure, false}, {0, failure, false}, {9, nil, true}, {10, failure, false},
			{29, nil, true}, {30, failure, false}, {69, nil, true}, {70, nil, false}, {70, failure, false}, {70, nil, false},
		}},
		{"a success between them", []step{{0, failure, false}, {0, nil, false}, {0, failure, false}, {0, nil, false}}},
		{"a refusal is an answer", []step{{0, failure, false}, {0, Classify(failure, Refused), false}, {0, failure, false}, {0, nil, false}}},
		{"a caller that goes away", []step{{0, failure, false}, {0, context.Canceled, false}, {0, context.DeadlineExceeded, false}, {0, nil, true}}},
		{"a wrong password at once", []step{{0, Classify(failure, Denied), false}, {9, nil, true}, {10, Classify(failure, Denied), false}, {29, nil, true}}},
		{"the most", []step{{0, failure, false}, {0, failure, false}, {10, failure, false}, {30, failure, false}, {70, failure, false}, {129, nil, true}, {130, nil, false}}},
	} {
		b := breaker{limit: 2, backoff: Backoff{First: 10 * time.Second, Most: time.Minute}}
		start := time.Unix(1_700_000_000, 0)
		for i, step := range test.steps {
			now := start.Add(time.Duration(step.second) * time.Second)
			err := b.admit(now)
			var open *OpenError
			if errors.As(err, &open) != step.refused {
				t.Errorf("%s, step %d: %v", test.name, i, err)
			}
			if err == nil {
				b.report(now, 0, step.result)
			} else if open.Cause == nil || !errors.Is(err, open.Cause) || !open.Until.After(now) {
				t.Errorf("%s, step %d: %v does not tell the cause and the time", test.name, i, err)
			}
		}
	}
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	b := breaker{limit: 1, backoff: Backoff{First: time.Second, Most: time.Second}}
	now := time.Unix(1_700_000_000, 0)
	if err := b.admit(now); err != nil {
		t.Fatal(err)
	}
	b.report(now, 0, errors.New("no answer"))
	later := now.Add(time.Second)
	if err := b.admit(later); err != nil {
		t.Fatalf("the probe: %v", err)
	}
	for range 2 {
		if b.open(later) == nil || b.admit(later) == nil {
			t.Fatal("a second one beside the probe")
		}
	}
	b.report(later, 0, nil)
	if err := b.admit(later); err != nil {
		t.Fatalf("after the probe: %v", err)
	}
}
