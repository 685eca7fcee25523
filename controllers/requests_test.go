package controllers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
)

// ask asks for a server's power as a person does.
func (p pool) ask(s *v1alpha2.Server, order string) {
	p.t.Helper()

	p.change(s, func(s *v1alpha2.Server) {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1alpha2.PowerRequestAnnotation, order)
	})
}

// answered waits until a server tells what became of what somebody has asked for.
func (p pool) answered(s *v1alpha2.Server, reason, message string) {
	p.t.Helper()

	p.becomes(s, "answered "+reason+" "+message, func(s *v1alpha2.Server) bool {
		c, told := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)
		_, open := s.Annotations[v1alpha2.PowerRequestAnnotation]

		return told && !open && c.Reason == reason && strings.HasPrefix(c.Message, message) && (c.Status == corev1.ConditionTrue) == (reason == "Done")
	})
}

// testRequests: what becomes of what a person asks for is told by a condition.
func testRequests(t *testing.T, p pool) {
	m := startMachine(t, true)
	s := p.make("asked", v1alpha2.ServerSpec{ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: m.endpoint}})
	p.becomes(s, "registered", phase(server.Registered))

	p.ask(s, "off")
	p.answered(s, "Refused", "power off: the server is not accepted")
	expect(t, m)

	p.change(s, func(s *v1alpha2.Server) {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, "cluster.x-k8s.io/paused", "true")
		s.Spec.Accepted = true
	})
	p.becomes(s, "paused, with its power known", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Paused) && s.Status.Power == v1alpha2.PowerOn
	})

	p.ask(s, "off")
	p.answered(s, "Done", "power off")
	p.becomes(s, "off", func(s *v1alpha2.Server) bool { return s.Status.Power == v1alpha2.PowerOff })
	expect(t, m, "/poweroff")

	p.ask(s, "cycle")
	p.answered(s, "Done", "power cycle")
	expect(t, m, "/pxeboot", "/poweron")

	p.ask(s, "reboot")
	p.answered(s, "Refused", `power reboot: "reboot" is none of on, off and cycle`)
	expect(t, m)
}

// testRequestFails: the driver's error is told. So is that nobody knows what became of a request, after a start.
func testRequestFails(t *testing.T, p pool) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "the relay is stuck", http.StatusInternalServerError)

			return
		}

		_, _ = w.Write([]byte(`{"PoweredOn":true}`))
	}))
	t.Cleanup(broken.Close)

	s := p.make("refusing", v1alpha2.ServerSpec{Accepted: true, ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: broken.Listener.Addr().String()}})
	p.change(s, func(s *v1alpha2.Server) {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, "cluster.x-k8s.io/paused", "true")
	})
	p.ask(s, "off")
	p.answered(s, "Failed", "power off: turn it off: ")

	p.report(s, func(status *v1alpha2.ServerStatus) {
		for i := range status.Conditions {
			if c := &status.Conditions[i]; c.Type == v1alpha2.ConditionPowerRequested {
				c.Status, c.Reason, c.Message = corev1.ConditionUnknown, "Waiting", "power off"
			}
		}
	})
	p.answered(s, "Interrupted", "power off: the appliance ended")
}
