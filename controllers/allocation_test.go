package controllers_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
)

// testKnownBeforeStart: a machine is started for its use only when its Server says that it is in use, and no more clean. An
// appliance that ends right after the start, and finds the binding gone again, would call clean what holds data by then.
func testKnownBeforeStart(t *testing.T, p pool) {
	const name = "known"

	var early, starts atomic.Int32

	m := &machine{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/poweron" {
			starts.Add(1)

			now := &v1alpha2.Server{}
			if err := p.Get(r.Context(), client.ObjectKey{Name: name}, now); err != nil || !now.Status.InUse || now.Status.IsClean {
				early.Add(1)
			}
		}

		m.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)

	s := p.make(name, v1alpha2.ServerSpec{Accepted: true, ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: web.Listener.Addr().String()}})
	p.report(s, func(status *v1alpha2.ServerStatus) { status.IsClean = true })
	p.becomes(s, "clean and off", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Clean) && s.Status.Power == v1alpha2.PowerOff
	})
	starts.Store(0) // it may have been started for a wipe before it was called clean
	early.Store(0)

	p.bind(s)
	p.becomes(s, "in use and on", func(s *v1alpha2.Server) bool {
		return s.Status.InUse && s.Status.Ready && s.Status.Power == v1alpha2.PowerOn
	})

	if starts.Load() == 0 || early.Load() > 0 {
		t.Errorf("of %d starts %d came before it was known to be in use", starts.Load(), early.Load())
	}
}
