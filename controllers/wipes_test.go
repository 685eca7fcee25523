package controllers_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
)

// testFailedWipe: a person sees which disk failed and why, while its agent waits to try again.
func testFailedWipe(t *testing.T, p pool) {
	m := startMachine(t, true)
	s := p.make("failing", v1alpha2.ServerSpec{Accepted: true, ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: m.endpoint}})
	p.becomes(s, "restarted for its wipe", func(s *v1alpha2.Server) bool {
		return conditionIs(s, v1alpha2.ConditionPowerCycle, corev1.ConditionFalse)
	})

	disk := v1alpha2.WipeDiskStatus{Name: "sda", Action: "wipe", State: "failed", Error: "input/output error"}
	wipes := func(disk v1alpha2.WipeDiskStatus, ended *metav1.Time) func(*v1alpha2.ServerStatus) {
		return func(status *v1alpha2.ServerStatus) {
			status.Conditions = v1alpha2.Conditions{{
				Type: v1alpha2.ConditionPowerCycle, Status: corev1.ConditionFalse, Reason: "InProgress", Message: "wipe in progress", LastTransitionTime: metav1.Now(),
			}}
			status.Wipe = &v1alpha2.WipeStatus{StartedAt: new(metav1.Now()), FinishedAt: ended, Disks: []v1alpha2.WipeDiskStatus{disk}}
		}
	}

	p.report(s, wipes(disk, new(metav1.Now())))
	p.becomes(s, "one whose wipe failed", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.WipeFailed) && strings.Contains(s.Status.WaitingFor, "disk sda: input/output error")
	})

	p.report(s, wipes(v1alpha2.WipeDiskStatus{Name: "sda", Action: "wipe", State: "running"}, nil))
	p.becomes(s, "wiping", phase(server.Wiping))
	expect(t, m, "/pxeboot", "/reboot") // once, and not for each failure
}

// testContradiction: nothing is done to a machine until it is clear which of its disks are wiped.
func testContradiction(t *testing.T, p pool) {
	for _, serial := range []string{"A", "B"} {
		class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "contradicting-"}}
		class.Spec.Selector.MatchLabels = map[string]string{"test": "contradiction"}
		class.Spec.Wipe = &v1alpha2.WipePolicy{Disks: v1alpha2.WipeInstallDisk, InstallDisk: &v1alpha2.DiskSelector{Serial: serial}}
		must(t, p.Create(t.Context(), class))
	}

	m := startMachine(t, true)
	s := p.make("contradiction", v1alpha2.ServerSpec{ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: m.endpoint}})
	p.change(s, func(s *v1alpha2.Server) { s.Labels = map[string]string{"test": "contradiction"} })
	p.change(s, func(s *v1alpha2.Server) { s.Spec.Accepted = true })
	p.becomes(s, "waiting for a person", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Waiting) && strings.Contains(s.Status.WaitingFor, "choose different disks") && s.Status.Power == v1alpha2.PowerOn
	})
	expect(t, m)

	// A class may end it as well, and is heard.
	class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "contradicting-all"}}
	class.Spec.Wipe = &v1alpha2.WipePolicy{Disks: v1alpha2.WipeNone}
	class.Spec.Selector.MatchLabels = map[string]string{"test": "contradiction"}
	must(t, p.Create(t.Context(), class))
	p.becomes(s, "restarted for its wipe", func(s *v1alpha2.Server) bool {
		return conditionIs(s, v1alpha2.ConditionPowerCycle, corev1.ConditionFalse)
	})
	expect(t, m, "/pxeboot", "/reboot")
}
