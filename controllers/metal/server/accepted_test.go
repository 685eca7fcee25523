package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// waker is a reconciler with one accepted server, whose control sees nothing and is told by HTTP to turn the machine on.
func waker(t *testing.T, url string, patch func() error) *Reconciler {
	t.Helper()

	spec := v1alpha2.ServerSpec{Accepted: true, Power: &v1alpha2.PowerControl{
		Driver: v1alpha2.PowerWebhook, Webhook: &v1alpha2.WebhookPower{On: &v1alpha2.WebhookRequest{URL: url}},
	}}
	api := newFake(t, &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: spec}, patch)

	return &Reconciler{
		config: Config{RebootTimeout: timeout}, client: api, live: api, events: events.NewFakeRecorder(100), running: t.Context(),
		controls: &controls{guards: power.NewGuards(power.DefaultOptions()), secrets: api},
		poller:   &poller{machines: map[string]*polled{}},
	}
}

// TestAcceptanceIsWrittenFirst un-accepts a server while its machine is started: by then it is written that it was accepted once, so that no
// class accepts it again.
func TestAcceptanceIsWrittenFirst(t *testing.T) {
	var api client.Reader

	started := 0
	device := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		started++

		s := &v1alpha2.Server{}
		if err := api.Get(t.Context(), client.ObjectKey{Name: "a"}, s); err != nil || s.Status.AcceptedAt == nil {
			t.Errorf("started while acceptedAt is %v, %v", s.Status.AcceptedAt, err)
		}
	}))
	defer device.Close()

	r := waker(t, device.URL, func() error { return nil })
	api = r.live

	for range 5 {
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "a"}}); err != nil {
			t.Fatal(err)
		}
	}

	if started != 1 {
		t.Errorf("started %d times", started)
	}
}

// TestStartedOnce cannot write that a machine was started for its wipe: it is not started again at once all the same.
func TestStartedOnce(t *testing.T) {
	started := 0
	device := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { started++ }))
	defer device.Close()

	var broken error

	r := waker(t, device.URL, func() error {
		if started > 0 {
			return broken
		}

		return nil
	})
	broken = errors.New("no database")
	failures := 0

	for range 5 {
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "a"}}); err != nil {
			failures++
		}
	}

	if started != 1 || failures == 0 {
		t.Errorf("started %d times, failed %d times", started, failures)
	}
}

// TestAnswerIsKept cannot write what became of a request, which nobody repeats: it is written the next time.
func TestAnswerIsKept(t *testing.T) {
	for want, code := range map[string]int{requestDone: http.StatusOK, requestFailed: http.StatusInternalServerError} {
		told, broken := 0, false
		device := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			told++
			broken = true

			w.WriteHeader(code)
		}))

		r := waker(t, device.URL, func() error {
			if broken {
				return errors.New("no database")
			}

			return nil
		})
		once := power.DefaultOptions()
		once.Tries = 1
		r.controls.guards = power.NewGuards(once)

		reason := func() string {
			s := get(t, r)
			c, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)

			return c.Reason
		}
		look := func() error {
			_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "a"}})

			return err
		}

		s := get(t, r)
		s.Status.IsClean = true
		must(t, r.client.Status().Update(t.Context(), s))

		for range 3 { // its finalizer, and that it was accepted
			must(t, look())
		}

		s = get(t, r)
		s.Annotations = map[string]string{v1alpha2.PowerRequestAnnotation: string(TurnOn)}
		must(t, r.client.Update(t.Context(), s))

		if err := look(); err == nil || told != 1 || reason() != requestWaits {
			t.Errorf("%s: %v, told %d times, the reason is %s", want, err, told, reason())
		}

		broken = false

		for range 2 {
			must(t, look())
		}

		if got := reason(); got != want || told != 1 {
			t.Errorf("the reason is %s, want %s; told %d times", got, want, told)
		}

		device.Close()
	}
}

func get(t *testing.T, r *Reconciler) *v1alpha2.Server {
	t.Helper()

	s := &v1alpha2.Server{}
	must(t, r.live.Get(t.Context(), client.ObjectKey{Name: "a"}, s))

	return s
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
