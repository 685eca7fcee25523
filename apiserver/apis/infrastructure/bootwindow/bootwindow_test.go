package bootwindow_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// bound is when the servers of these tests were bound. All times are minutes after that.
var bound = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func at(minute float64) *metav1.MicroTime {
	return &metav1.MicroTime{Time: bound.Add(time.Duration(minute * float64(time.Minute)))}
}

func window(generation int64, by v1alpha3.BootWindowOpener, minute float64, request string) *v1alpha3.BootWindow {
	return &v1alpha3.BootWindow{Generation: generation, OpenedAt: *at(minute), OpenedBy: by, Request: request}
}

// TestOf goes through a server's life: what its window is, and whether it is open.
func TestOf(t *testing.T) {
	const byBinding, byPower, byPerson = v1alpha3.OpenedByBinding, v1alpha3.OpenedByPower, v1alpha3.OpenedByPerson

	for name, test := range map[string]struct {
		stored          *v1alpha3.BootWindow
		started, loaded *metav1.MicroTime
		request         string
		now             float64
		want            *v1alpha3.BootWindow
		written, open   bool
	}{
		"bound":                              {now: 1, want: window(1, byBinding, 0, ""), written: true, open: true},
		"bound by a clock that is ahead":     {now: -0.5, want: window(1, byBinding, 0, ""), written: true, open: true},
		"bound by a clock that is wrong":     {now: -5, want: window(1, byBinding, 0, ""), written: true},
		"bound, just before its end":         {now: 29.9, want: window(1, byBinding, 0, ""), written: true, open: true},
		"bound too long ago":                 {now: 30, want: window(1, byBinding, 0, ""), written: true},
		"has loaded":                         {loaded: at(5), now: 6, want: window(1, byBinding, 0, ""), written: true},
		"had loaded before it was bound":     {loaded: at(-5), now: 6, want: window(1, byBinding, 0, ""), written: true, open: true},
		"was started before it was bound":    {started: at(-5), now: 6, want: window(1, byBinding, 0, ""), written: true, open: true},
		"started while its window is open":   {started: at(2), now: 31, want: window(1, byPower, 2, ""), open: true},
		"started when its window has ended":  {started: at(40), now: 41, want: window(2, byPower, 40, ""), open: true},
		"started after it has loaded":        {started: at(10), loaded: at(5), now: 11, want: window(2, byPower, 10, ""), open: true},
		"has loaded after it was started":    {started: at(10), loaded: at(15), now: 16, want: window(1, byPower, 10, "")},
		"its start is written":               {stored: window(2, byPower, 10, ""), started: at(10), loaded: at(5), now: 11, want: window(2, byPower, 10, ""), written: true, open: true},
		"started again":                      {stored: window(2, byPower, 40, ""), started: at(50), now: 51, want: window(2, byPower, 50, ""), open: true},
		"a person asks":                      {request: "a", loaded: at(5), now: 90, want: window(2, byPerson, 90, "a"), open: true},
		"a person asks while it is open":     {request: "a", now: 9, want: window(1, byPerson, 9, "a"), open: true},
		"a person has asked":                 {stored: window(2, byPerson, 90, "a"), request: "a", loaded: at(5), now: 100, want: window(2, byPerson, 90, "a"), written: true, open: true},
		"a person has asked, and it loaded":  {stored: window(2, byPerson, 90, "a"), request: "a", loaded: at(95), now: 100, want: window(2, byPerson, 90, "a"), written: true},
		"a person asks again":                {stored: window(2, byPerson, 90, "a"), request: "b", loaded: at(95), now: 100, want: window(3, byPerson, 100, "b"), open: true},
		"a person takes the annotation away": {stored: window(2, byPerson, 90, "a"), loaded: at(5), now: 100, want: window(2, byPerson, 90, "a"), written: true, open: true},
		"started after a person asked":       {stored: window(2, byPerson, 90, "a"), request: "a", started: at(91), loaded: at(5), now: 92, want: window(2, byPerson, 91, "a"), open: true},
		"started, and a person asks":         {stored: window(2, byPower, 40, ""), request: "a", started: at(80), now: 82, want: window(3, byPerson, 82, "a"), open: true},
	} {
		t.Run(name, func(t *testing.T) {
			binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(bound)}}
			binding.Status.BootWindow, binding.Status.ConfigurationLoadedAt = test.stored, test.loaded
			server := &metal.Server{Status: metal.ServerStatus{StartedAt: test.started}}

			if test.request != "" {
				server.Annotations = map[string]string{metal.BootWindowAnnotation: test.request}
			}

			got, written := bootwindow.Of(binding, server, at(test.now).Time)
			if got != *test.want || written != test.written {
				t.Errorf("window is %+v, written %t\nwant %+v", got, written, *test.want)
			}

			if open := bootwindow.Open(got, test.loaded, at(test.now).Time); open != test.open {
				t.Errorf("open: %t", open)
			}
		})
	}
}

// TestAccepts lets a machine come with an older token only when a person has opened the window.
func TestAccepts(t *testing.T) {
	for _, test := range []struct {
		by                   v1alpha3.BootWindowOpener
		older, same, another bool
	}{
		{v1alpha3.OpenedByBinding, false, true, false}, {v1alpha3.OpenedByPower, false, true, false}, {v1alpha3.OpenedByPerson, true, true, false},
	} {
		w := v1alpha3.BootWindow{Generation: 3, OpenedBy: test.by}
		if bootwindow.Accepts(w, 2) != test.older || bootwindow.Accepts(w, 3) != test.same || bootwindow.Accepts(w, 4) != test.another {
			t.Errorf("opened by %s: 2 %t, 3 %t, 4 %t", test.by, bootwindow.Accepts(w, 2), bootwindow.Accepts(w, 3), bootwindow.Accepts(w, 4))
		}
	}
}
