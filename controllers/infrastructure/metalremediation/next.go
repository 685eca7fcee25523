package metalremediation

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

const (
	// defaultLimit and defaultTimeout are what RemediationStrategy promises of what is absent.
	defaultLimit   = 1
	defaultTimeout = 5 * time.Minute
)

// Phases of a remediation.
const (
	phaseRunning   = "Running"
	phaseWaiting   = "Waiting"
	phaseSucceeded = "Succeeded"
	phaseFailed    = "Failed"
)

// facts are what is decided by.
type facts struct {
	remediation *v1alpha3.MetalRemediation
	machine     *clusterv1.Machine // nil when it is gone
	cluster     *clusterv1.Cluster // nil when it is gone
	server      string             // the one that the machine has, empty when it has none
	now         time.Time
}

type action int

const (
	// leave is to do nothing at all.
	leave action = iota
	// wait is to tell how far it is.
	wait
	// cycle is to ask for the server's power to be cycled.
	cycle
	// replace is to give the machine up.
	replace
)

type decision struct {
	action                 action
	phase, reason, message string
	// after is how soon time alone changes the decision; 0 when it does not.
	after time.Duration
}

// next decides what is done for a machine. Each try counts before it is made: one that a crash prevents costs its timeout, and
// none is made twice.
func next(f facts) decision {
	status := f.remediation.Status

	switch {
	case contract.Paused(f.remediation, f.cluster), !f.remediation.DeletionTimestamp.IsZero(), f.machine == nil:
		return decision{action: leave}
	case contract.Paused(f.machine, nil), !f.machine.DeletionTimestamp.IsZero():
		return decision{action: leave}
	case healthy(f.machine):
		return decision{wait, phaseSucceeded, v1alpha3.ReasonHealthy, "Machine " + f.machine.Name + " is healthy", 0}
	}

	limit, left := ptr.Deref(f.remediation.Spec.Strategy.RetryLimit, defaultLimit), remaining(f)

	switch {
	case left > 0:
		return decision{wait, phaseWaiting, v1alpha3.ReasonPowerCycled, fmt.Sprintf(
			"server %s was power-cycled (%d of %d times); waits for its Node to become healthy", f.server, status.RetryCount, limit,
		), left}
	case status.RetryCount >= limit:
		return decision{replace, phaseFailed, v1alpha3.ReasonReplaced, fmt.Sprintf(
			"Machine %s is replaced: it is not healthy after %d of %d power cycles", f.machine.Name, status.RetryCount, limit,
		), 0}
	case f.server == "":
		return decision{wait, phaseWaiting, v1alpha3.ReasonNoServer, fmt.Sprintf(
			"Machine %s has no server that could be power-cycled", f.machine.Name,
		), looksAgainAfter}
	default:
		return decision{cycle, phaseRunning, v1alpha3.ReasonPowerCycled, fmt.Sprintf(
			"server %s is power-cycled (%d of %d times)", f.server, status.RetryCount+1, limit,
		), timeout(f.remediation)}
	}
}

// healthy tells whether the MachineHealthCheck says so. Its word may be older than the remediation only when that is not needed.
func healthy(machine *clusterv1.Machine) bool {
	for _, c := range machine.Status.Conditions {
		if c.Type == clusterv1.MachineHealthCheckSucceededCondition {
			return c.Status == metav1.ConditionTrue
		}
	}

	return false
}

// remaining is what is left of the time that a machine has after a try. A clock that was set back costs no more than one timeout.
func remaining(f facts) time.Duration {
	last := f.remediation.Status.LastRemediated
	if last == nil {
		return 0
	}

	whole := timeout(f.remediation)

	return min(last.Add(whole).Sub(f.now), whole)
}

func timeout(r *v1alpha3.MetalRemediation) time.Duration {
	if given := r.Spec.Strategy.Timeout; given != nil {
		return given.Duration
	}

	return defaultTimeout
}
