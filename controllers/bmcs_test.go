package controllers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

// gone waits until a server is deleted.
func (p pool) gone(s *v1alpha2.Server) {
	p.t.Helper()

	eventually(p.t, s.Name+" goes", func(ctx context.Context) (bool, error) {
		err := p.Get(ctx, client.ObjectKeyFromObject(s), s)

		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// testDeletedDead deletes a server in use whose BMC is dead: a person is told how to give it back, and after that it goes, BMC or not.
func testDeletedDead(t *testing.T, p pool) {
	dead := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(dead.Close)

	s := p.make("deleted-dead", v1alpha2.ServerSpec{Accepted: true, ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: dead.Listener.Addr().String()}})
	binding := p.bind(s)
	p.becomes(s, "in use", func(s *v1alpha2.Server) bool { return s.Status.InUse })

	must(t, p.Delete(t.Context(), s))
	p.becomes(s, "deleting, and tells how it goes", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Deleting) && strings.Contains(s.Status.WaitingFor, "sidero-appliance release") &&
			conditionIs(s, v1alpha2.ConditionPowerControl, corev1.ConditionFalse)
	})

	must(t, p.Delete(t.Context(), binding))
	p.gone(s)
}

// testPin: the certificate that a BMC has at first is trusted from there on, until a person pins another one.
func testPin(t *testing.T, p pool) {
	bmc, err := emulator.Start(emulator.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, bmc.Close()) })

	s := p.make("pinned", v1alpha2.ServerSpec{
		BMC:   &v1alpha2.BMC{Endpoint: bmc.Address(), User: "admin", Pass: "password"},
		Power: &v1alpha2.PowerControl{Driver: v1alpha2.PowerRedfish},
	})
	works := func(s *v1alpha2.Server) bool {
		return s.Status.BMCFingerprint == bmc.Fingerprint() && conditionIs(s, v1alpha2.ConditionPowerControl, corev1.ConditionTrue)
	}

	p.becomes(s, "pinned", works)

	must(t, bmc.RenewCertificate())
	p.becomes(s, "distrusted", func(s *v1alpha2.Server) bool {
		return s.Status.BMCFingerprint != bmc.Fingerprint() && conditionIs(s, v1alpha2.ConditionPowerControl, corev1.ConditionFalse)
	})

	p.report(s, func(status *v1alpha2.ServerStatus) { status.BMCFingerprint = bmc.Fingerprint() })
	p.becomes(s, "trusted again", works)
}
