package server

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// TestStartIsWrittenFirst: that a machine in use is started, which opens its boot window, is in the API before it is done. Where it
// cannot be written, nothing is done.
func TestStartIsWrittenFirst(t *testing.T) {
	for name, test := range map[string]struct {
		write error
		want  error // of the action; anything when it is the write's own
	}{
		"written":        {},
		"somebody else":  {apierrors.NewConflict(schema.GroupResource{}, "a", nil), errChanged},
		"gone":           {apierrors.NewNotFound(schema.GroupResource{}, "a"), errChanged},
		"no database":    {write: errors.New("no database")},
		"not its rights": {write: apierrors.NewForbidden(schema.GroupResource{}, "a", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha2.ServerSpec{Accepted: true}}
			api := newFake(t, s, func() error { return test.write })
			binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "a"}}

			if err := errors.Join(api.Create(t.Context(), binding), api.Get(t.Context(), client.ObjectKeyFromObject(s), s)); err != nil {
				t.Fatal(err)
			}

			device := &starter{known: func() *metav1.MicroTime {
				now := &v1alpha2.Server{}
				if err := api.Get(t.Context(), client.ObjectKeyFromObject(s), now); err != nil {
					t.Error(err)
				}

				return now.Status.StartedAt
			}}
			r := &Reconciler{client: api, live: api, poller: &poller{machines: map[string]*polled{}}, config: Config{RebootTimeout: timeout}}
			on := target{server: s, view: view{control: &control{driver: device}, reading: reading{state: power.Off}}}

			decision := Next(facts(s, binding, on.view, timeout))
			if decision.Action != TurnOn || !decision.InUse {
				t.Fatalf("decided on %+v", decision)
			}

			err := r.act(t.Context(), on, decision)

			switch {
			case test.write == nil && (err != nil || device.at == nil || time.Since(device.at.Time) > time.Minute):
				t.Errorf("started while startedAt was %v, %v", device.at, err)
			case test.write != nil && (err == nil || device.told || test.want != nil && !errors.Is(err, test.want)):
				t.Errorf("started %t although it is not written: %v", device.told, err)
			}
		})
	}
}

// TestHasItsConfigurationAgain: a machine that a person lets have its configuration again is not started plainly.
func TestHasItsConfigurationAgain(t *testing.T) {
	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "a", CreationTimestamp: metav1.Now()}}

	if facts(s, binding, view{}, timeout).Anew {
		t.Error("its window has opened with its binding")
	}

	s.Annotations = map[string]string{v1alpha2.BootWindowAnnotation: "today"}
	if !facts(s, binding, view{}, timeout).Anew {
		t.Error("a person has opened its window")
	}

	binding.Status.ConfigurationLoadedAt = new(metav1.NewMicroTime(time.Now().Add(time.Second)))
	if binding.Status.BootWindow = new(v1alpha3.BootWindow{OpenedBy: v1alpha3.OpenedByPerson, OpenedAt: metav1.NowMicro(), Request: "today"}); facts(s, binding, view{}, timeout).Anew {
		t.Error("it has loaded its configuration")
	}
}

// starter is a driver that looks what is known while it turns a machine on.
type starter struct {
	recorder

	known func() *metav1.MicroTime
	told  bool
	at    *metav1.MicroTime
}

func (s *starter) On(context.Context) error {
	s.told, s.at = true, s.known()

	return nil
}

// TestWhatCountsAsAStart: only of machines in use, never turning off, and not again within a minute for one that failed.
func TestWhatCountsAsAStart(t *testing.T) {
	ago := func(d time.Duration) *metav1.MicroTime { return &metav1.MicroTime{Time: time.Now().Add(-d)} }

	for name, test := range map[string]struct {
		decision Decision
		last     *metav1.MicroTime
		counts   bool
	}{
		"on":                       {Decision{InUse: true, Action: TurnOn}, nil, true},
		"restart":                  {Decision{InUse: true, Action: Restart}, nil, true},
		"from its disk":            {Decision{InUse: true, Action: TurnOn, Plain: true}, nil, true},
		"off":                      {Decision{InUse: true, Action: TurnOff}, nil, false},
		"for its wipe":             {Decision{Action: Restart}, nil, false},
		"again at once":            {Decision{InUse: true, Action: TurnOn}, ago(time.Second), false},
		"again, somebody asks":     {Decision{InUse: true, Action: Restart, Request: true}, ago(time.Second), true},
		"again":                    {Decision{InUse: true, Action: TurnOn}, ago(startsAgain), true},
		"by a clock that is ahead": {Decision{InUse: true, Action: TurnOn}, ago(-time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
			s.Status.StartedAt = test.last
			api := newFake(t, s, func() error { return nil })
			r := &Reconciler{client: api}
			mine := &v1alpha2.Server{}

			get := func() time.Time {
				if err := api.Get(t.Context(), client.ObjectKey{Name: "a"}, mine); err != nil {
					t.Fatal(err)
				}

				if mine.Status.StartedAt == nil {
					return time.Time{}
				}

				return mine.Status.StartedAt.Time
			}

			before := get()
			if err := r.starts(t.Context(), mine, test.decision); err != nil {
				t.Fatal(err)
			}

			if after := get(); after.Equal(before) == test.counts || test.counts && time.Since(after) > time.Minute {
				t.Errorf("startedAt was %s, and is %s", before, after)
			}
		})
	}
}
