//go:build e2e

package controlplane_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/controlplane"
)

// TestKilled has the controller live for a few writes at a time, from the first machine to three members and an upgrade in place: wherever
// it is killed, etcd is begun once, no machine is made too many, and the next one goes on.
func TestKilled(t *testing.T) {
	l := newLab(t, 3)
	lives := l.live(func(p *v1alpha3.TalosControlPlane) bool { return len(l.talos.Members()) == 3 && p.Status.Ready })

	if machines := l.machines(); len(machines) != 3 || l.talos.Bootstraps() != 1 {
		t.Fatalf("after %d lives there are %d machines, and %d etcd clusters were begun", lives, len(machines), l.talos.Bootstraps())
	}

	names := l.names()
	l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Version = "v1.36.0" })
	lives += l.live(func(p *v1alpha3.TalosControlPlane) bool {
		return p.Status.Version == "v1.36.0" && len(p.Status.Versions) == 1
	})

	for _, name := range names {
		l.runs(name, "v1.36.0")

		if times := l.node(name).Called("ApplyConfiguration"); times != 4 {
			t.Errorf("%s was given %d configurations", name, times)
		}
	}

	t.Logf("it took %d lives", lives)
}

// live has one controller after the other live for some writes, and then not even read, until something is so. It tells how many.
func (l *lab) live(is func(*v1alpha3.TalosControlPlane) bool) int {
	l.t.Helper()

	for lives := 1; ; lives++ {
		left := &atomic.Int64{}
		left.Store(int64(1 + lives%4)) // so that in the end every write is the last one of some life

		config := rest.CopyConfig(l.Plane.Client(l.t, rights.TalosControlPlane))
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return mortal{next, left} })

		running, err := apitest.Begin(controlplane.New(provider.Config{
			Client: config, Identity: "test", Logger: logr.FromSlogHandler(l.Logger().Handler()), Log: l.Logger(),
		}))
		clustertest.Must(l.t, err)

		done := false

		l.until("it dies, or is done", func(p *v1alpha3.TalosControlPlane) bool {
			done = is(p) && p.Status.Conditions.Is(v1alpha3.ReadyCondition, corev1.ConditionTrue) &&
				ptr.Deref(p.Status.UpToDateReplicas, 0) == *p.Spec.Replicas

			return done || left.Load() <= 0
		})
		clustertest.Must(l.t, running.Stop())

		if done {
			return lives
		}
	}
}

// mortal lets some writes succeed, but for those by which controllers take turns and tell people.
type mortal struct {
	next http.RoundTripper
	left *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (m mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, "/leases") || strings.Contains(r.URL.Path, "/events") {
		return m.next.RoundTrip(r)
	}

	if m.left.Load() <= 0 {
		return nil, errors.New("it was killed")
	}

	answer, err := m.next.RoundTrip(r)
	if err == nil && r.Method != http.MethodGet && answer.StatusCode < http.StatusMultipleChoices {
		m.left.Add(-1)
	}

	return answer, err
}
