package controllers_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
)

// TestDuplicates tries to break safety invariant 6 of the design: nothing is done to a machine whose identity another one claims,
// and it is given to nobody, from the moment its Server is made until a person decides. Its power API is the witness.
func TestDuplicates(t *testing.T) {
	p := startPool(t, 200*time.Millisecond)
	m := startMachine(t, true)

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{
		Name: "twin", Annotations: map[string]string{v1alpha2.IdentityAnnotation: v1alpha2.IdentityUndecided},
	}}
	s.Spec.Accepted, s.Spec.ManagementAPI = true, &v1alpha2.ManagementAPI{Endpoint: m.endpoint}
	must(t, p.Create(t.Context(), s))

	left := func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Duplicate) && s.Status.Power == v1alpha2.PowerOn
	}
	p.becomes(s, "left alone, with its power known", left)

	disputed := func(status corev1.ConditionStatus) {
		p.report(s, func(to *v1alpha2.ServerStatus) {
			to.Conditions = v1alpha2.Conditions{{
				Type: v1alpha2.ConditionDuplicateIdentity, Status: status, Reason: "Test", LastTransitionTime: metav1.Now(),
			}}
		})
	}
	disputed(corev1.ConditionTrue)
	p.change(s, func(s *v1alpha2.Server) { s.Annotations[v1alpha2.IdentityAnnotation] = v1alpha2.IdentityOwn })
	p.change(s, func(s *v1alpha2.Server) { s.Annotations[v1alpha2.PowerRequestAnnotation] = "off" })
	p.becomes(s, "refused what was asked of its power", func(s *v1alpha2.Server) bool {
		return left(s) && conditionIs(s, v1alpha2.ConditionPowerRequested, corev1.ConditionFalse)
	})
	p.report(s, func(status *v1alpha2.ServerStatus) { status.IsClean = true })
	p.becomes(s, "no more called clean", func(s *v1alpha2.Server) bool { return left(s) && !s.Status.IsClean })

	// Another server comes into the class, so the class has been looked at since.
	other := p.make("single", v1alpha2.ServerSpec{Accepted: true})
	p.listed(other.Name, true, false)
	p.listed(s.Name, false, false)
	expect(t, m)

	disputed(corev1.ConditionFalse)
	p.listed(s.Name, true, false)
	p.becomes(s, "restarted for its wipe", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Waiting) && conditionIs(s, v1alpha2.ConditionPowerCycle, corev1.ConditionFalse)
	})
	expect(t, m, "/pxeboot", "/reboot")
}
