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
