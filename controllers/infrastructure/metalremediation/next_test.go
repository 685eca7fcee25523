package metalremediation

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

var now = time.Unix(1_800_000_000, 0)

// unhealthy are the facts of a machine for which nothing has been done yet, changed.
func unhealthy(change func(*facts)) facts {
	f := facts{
		remediation: &v1alpha3.MetalRemediation{}, machine: &clusterv1.Machine{}, cluster: &clusterv1.Cluster{}, server: "s", request: requestCycle, now: now,
	}
	f.remediation.CreationTimestamp = metav1.Time{Time: now.Add(-24 * time.Hour)}
	f.machine.Name = "m"
	f.machine.OwnerReferences = []metav1.OwnerReference{{Kind: "MachineSet", Controller: new(true)}}
	change(&f)

	return f
}

// tried says how often and how long ago it was tried.
func tried(f *facts, times int64, ago time.Duration) {
	f.remediation.Status.RetryCount, f.remediation.Status.LastRemediated = times, &metav1.Time{Time: now.Add(-ago)}
}

// said is the reason that was told last, and how long ago it was another.
func said(f *facts, reason string, ago time.Duration) {
	f.remediation.Status.Conditions = metal.Conditions{{
		Type: v1alpha3.ConditionReady, Reason: reason, LastTransitionTime: metav1.Time{Time: now.Add(-ago)},
	}}
}

// judged says what the MachineHealthCheck thinks.
func judged(f *facts, status metav1.ConditionStatus) {
	f.machine.Status.Conditions = []metav1.Condition{{
		Type: clusterv1.MachineHealthCheckSucceededCondition, Status: status, LastTransitionTime: metav1.Time{Time: now.Add(-time.Minute)},
	}}
}

func TestNext(t *testing.T) {
	gone := &metav1.Time{Time: now}

	for name, c := range map[string]struct {
		change  func(*facts)
		action  action
		message string
		after   time.Duration
	}{
		"new":              {func(*facts) {}, try, "a power cycle of server s is asked for (1 of 1 times)", defaultTimeout},
		"judged unhealthy": {func(f *facts) { judged(f, metav1.ConditionFalse) }, try, "1 of 1", defaultTimeout},
		"judged healthy before": {func(f *facts) {
			judged(f, metav1.ConditionTrue)
			f.remediation.CreationTimestamp = metav1.Time{Time: now}
		}, try, "1 of 1", defaultTimeout},
		"judged healthy": {func(f *facts) { judged(f, metav1.ConditionTrue) }, wait, "is healthy", 0},
		"healthy at the end": {func(f *facts) {
			tried(f, 1, time.Hour)
			judged(f, metav1.ConditionTrue)
		}, wait, "is healthy", 0},
		"no server":  {func(f *facts) { f.server = "" }, wait, "has no server", looksAgainAfter},
		"just tried": {func(f *facts) { tried(f, 1, time.Minute) }, wait, "a power cycle of server s was asked for (1 of 1 times); waits", 4 * time.Minute},
		"no power control": {func(f *facts) { f.request = "" }, try,
			"nothing controls the power of server s: a person is asked to power-cycle it (1 of 1 times)", defaultTimeout},
		"no power control, waits":           {func(f *facts) { f.request = ""; tried(f, 1, time.Minute) }, wait, "a person was asked to", 4 * time.Minute},
		"no power control, and nobody came": {func(f *facts) { f.request = ""; tried(f, 1, defaultTimeout) }, replace, "Machine m is replaced", 0},
		"it can be woken":                   {func(f *facts) { f.request = requestOn }, try, "server s is asked to turn on", defaultTimeout},
		"metal is gone":                     {func(f *facts) { f.bare, f.server = true, "" }, replace, "Machine m is replaced: its MetalMachine is gone", 0},
		"of control plane": {func(f *facts) {
			tried(f, 1, defaultTimeout)
			f.machine.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
		}, handOver, "Machine m is left to its control plane to replace", 0},
		"of nobody": {func(f *facts) {
			tried(f, 1, defaultTimeout)
			f.machine.OwnerReferences = nil
		}, keep, "Machine m is kept, because nothing would make another", 0},
		"of nobody, in control plane": {func(f *facts) {
			tried(f, 1, defaultTimeout)
			f.machine.OwnerReferences, f.machine.Labels = nil, map[string]string{clusterv1.MachineControlPlaneLabel: ""}
		}, keep, "is kept", 0},
		"clock set back": {func(f *facts) {
			tried(f, 1, -time.Hour)
		}, wait, "1 of 1", defaultTimeout},
		"timed out":        {func(f *facts) { tried(f, 1, defaultTimeout) }, replace, "after 1 of 1 power cycles that were asked for", 0},
		"no server at end": {func(f *facts) { tried(f, 1, defaultTimeout); f.server = "" }, replace, "after 1 of 1 power cycles that were asked for", 0},
		"another try": {func(f *facts) {
			tried(f, 1, defaultTimeout)
			f.remediation.Spec.Strategy.RetryLimit = new(int64(2))
		}, try, "2 of 2", defaultTimeout},
		"own timeout": {func(f *facts) {
			tried(f, 1, time.Minute)
			f.remediation.Spec.Strategy.Timeout = &metav1.Duration{Duration: 90 * time.Second}
		}, wait, "1 of 1", 30 * time.Second},
		"own timeout passed": {func(f *facts) {
			tried(f, 1, 2*time.Minute)
			f.remediation.Spec.Strategy.Timeout = &metav1.Duration{Duration: 90 * time.Second}
		}, replace, "is replaced", 0},
		"no tries":         {func(f *facts) { f.remediation.Spec.Strategy.RetryLimit = new(int64(0)) }, replace, "after 0 of 0", 0},
		"cluster is gone":  {func(f *facts) { f.cluster = nil }, try, "1 of 1", defaultTimeout},
		"machine is gone":  {func(f *facts) { f.machine = nil }, leave, "", 0},
		"machine goes":     {func(f *facts) { f.machine.DeletionTimestamp = gone }, leave, "", 0},
		"remediation goes": {func(f *facts) { f.remediation.DeletionTimestamp = gone }, leave, "", 0},
		"server is paused": {func(f *facts) { f.serverPaused = true }, wait, "server s is paused", looksAgainAfter},
		"server is paused after a try": {func(f *facts) { tried(f, 1, defaultTimeout); f.serverPaused = true }, wait,
			"nothing is done for Machine m", looksAgainAfter},
		"server is paused, and all is well": {func(f *facts) { judged(f, metav1.ConditionTrue); f.serverPaused = true }, wait, "is healthy", 0},
		"server's pause has ended": {func(f *facts) {
			tried(f, 1, time.Hour)
			said(f, v1alpha3.ReasonServerPaused, time.Hour)
		}, wait, "Machine m was left alone until now; waits for its Node", defaultTimeout},
		"its cluster's pause has ended": {func(f *facts) {
			tried(f, 1, time.Hour)
			f.remediation.Status.Conditions = metal.Conditions{{Type: contract.ConditionPaused, Status: corev1.ConditionTrue}}
		}, wait, "Machine m was left alone until now", defaultTimeout},
		"server's pause ended a minute ago": {func(f *facts) {
			tried(f, 1, time.Hour)
			said(f, v1alpha3.ReasonServerBack, time.Minute)
		}, wait, "was left alone until now", 4 * time.Minute},
		"server's pause ended before the clock was set back": {func(f *facts) {
			said(f, v1alpha3.ReasonServerBack, -time.Hour)
		}, wait, "was left alone until now", defaultTimeout},
		"server's pause ended, which did not help": {func(f *facts) {
			tried(f, 1, time.Hour)
			said(f, v1alpha3.ReasonServerBack, defaultTimeout)
		}, replace, "after 1 of 1", 0},
		"server's pause ended, not tried yet": {func(f *facts) {
			said(f, v1alpha3.ReasonServerBack, defaultTimeout)
		}, try, "1 of 1", defaultTimeout},
		"installs Talos": {func(f *facts) {
			tried(f, 1, defaultTimeout)
			f.installs = installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-time.Minute)}
		}, wait, "Machine m installs Talos v1.13.6", 9 * time.Minute},
		"has installed Talos just now": {func(f *facts) {
			said(f, v1alpha3.ReasonInstallsTalos, 7*time.Minute)
		}, wait, "was left alone until now", defaultTimeout},
		"was to have installed Talos": {func(f *facts) {
			f.installs = installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-installation.Within)}
		}, try, "1 of 1", defaultTimeout},
		"cluster is paused":       {func(f *facts) { f.cluster.Spec.Paused = new(true) }, leave, "", 0},
		"machine is paused":       {func(f *facts) { f.machine.Annotations = map[string]string{clusterv1.PausedAnnotation: ""} }, leave, "", 0},
		"remediation is paused":   {func(f *facts) { f.remediation.Annotations = map[string]string{clusterv1.PausedAnnotation: ""} }, leave, "", 0},
		"nobody knows the health": {func(f *facts) { judged(f, metav1.ConditionUnknown) }, try, "1 of 1", defaultTimeout},
	} {
		got := next(unhealthy(c.change))
		if got.action != c.action || got.after != c.after || !strings.Contains(got.message, c.message) {
			t.Errorf("%s: %+v, want %v %q after %v", name, got, c.action, c.message, c.after)
		}

		if whole := got.action == leave || got.phase != "" && got.reason != "" && got.message != ""; !whole {
			t.Errorf("%s: the decision lacks a part: %+v", name, got)
		}
	}
}

// TestGivenBack has the time run once from when the server is not paused any more, however often it is looked at.
func TestGivenBack(t *testing.T) {
	f := unhealthy(func(f *facts) { f.serverPaused = true })

	tell := func() decision {
		d := next(f)
		f.remediation.Status.Conditions = contract.Conditions(f.remediation.Status.Conditions, d.condition())

		return d
	}
	tell()

	f.serverPaused = false
	tell()

	since, _ := f.remediation.Status.Conditions.Find(v1alpha3.ConditionReady)
	since.LastTransitionTime = metav1.Time{Time: now.Add(-time.Minute)}
	f.remediation.Status.Conditions = f.remediation.Status.Conditions.With(since)

	for range 2 {
		if d := tell(); d.reason != v1alpha3.ReasonServerBack || d.after != defaultTimeout-time.Minute {
			t.Errorf("a minute after its pause has ended: %+v", d)
		}
	}

	if f.now = now.Add(defaultTimeout); tell().action != try {
		t.Errorf("nothing is done when that has not helped: %+v", f.remediation.Status.Conditions)
	}
}
