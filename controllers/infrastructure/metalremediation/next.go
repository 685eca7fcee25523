package metalremediation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
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
	// bare tells that the MetalMachine of the machine is gone: nothing makes it a server's again.
	bare   bool
	server string // the one that the machine has, empty when it has none
	// request is what the server's power control is asked for, empty when nothing controls it.
	request string
	// serverPaused tells that a person works on the server, perhaps with its case open.
	serverPaused bool
	// installs is what the machine was told to install in place: it restarts meanwhile, and does not answer.
	installs installation.Try
	now      time.Time
}

type action int

const (
	// leave is to do nothing at all.
	leave action = iota
	// wait is to tell how far it is.
	wait
	// try is to ask for the server to be restarted: its power control, or a person where there is none.
	try
	// replace is to delete the machine, for another to be made.
	replace
	// handOver is to leave the machine to its control plane, which knows whether etcd can do without it.
	handOver
	// keep is to give up.
	keep
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
	case healthy(f.machine, f.remediation):
		return decision{wait, phaseSucceeded, v1alpha3.ReasonHealthy, "Machine " + f.machine.Name + " is healthy", 0}
	case f.bare:
		return f.giveUp("its MetalMachine is gone")
	case f.serverPaused:
		return decision{wait, phaseWaiting, v1alpha3.ReasonServerPaused, fmt.Sprintf(
			"server %s is paused: nothing is done for Machine %s until its annotation %s is gone", f.server, f.machine.Name, clusterv1.PausedAnnotation,
		), looksAgainAfter}
	case f.installs.Pending(f.now):
		return decision{wait, phaseWaiting, v1alpha3.ReasonInstallsTalos, fmt.Sprintf(
			"Machine %s installs Talos %s: waits until that is over", f.machine.Name, f.installs.To,
		), f.installs.Left(f.now)}
	}

	limit, left := limitOf(f.remediation), remaining(f)

	switch given := givenBack(f); {
	case given > 0 && f.server != "":
		return decision{wait, phaseWaiting, v1alpha3.ReasonServerBack, fmt.Sprintf(
			"Machine %s was left alone until now; waits for its Node to become healthy", f.machine.Name,
		), given}
	case left > 0:
		return decision{wait, phaseWaiting, v1alpha3.ReasonPowerCycled, f.asked("was", status.RetryCount) +
			"; waits for its Node to become healthy", left}
	case status.RetryCount >= limit:
		return f.giveUp(fmt.Sprintf("it is not healthy after %d of %d power cycles that were asked for", status.RetryCount, limit))
	case f.server == "":
		return decision{wait, phaseWaiting, v1alpha3.ReasonNoServer, fmt.Sprintf(
			"Machine %s has no server that could be power-cycled", f.machine.Name,
		), looksAgainAfter}
	default:
		return decision{try, phaseRunning, v1alpha3.ReasonPowerCycled, f.asked("is", status.RetryCount+1), timeout(f.remediation)}
	}
}

// asked tells what is asked for, and of whom.
func (f facts) asked(when string, times int64) string {
	count := fmt.Sprintf("(%d of %d times)", times, limitOf(f.remediation))

	switch f.request {
	case "":
		return fmt.Sprintf("nothing controls the power of server %s: a person %s asked to power-cycle it %s", f.server, when, count)
	case requestOn:
		return fmt.Sprintf("server %s %s asked to turn on, which is all that its power control can do %s", f.server, when, count)
	default:
		return fmt.Sprintf("a power cycle of server %s %s asked for %s", f.server, when, count)
	}
}

// giveUp is what is done when nothing helps: another machine is made, by what makes such machines.
func (f facts) giveUp(why string) decision {
	name := f.machine.Name
	_, controlPlane := f.machine.Labels[clusterv1.MachineControlPlaneLabel]

	switch {
	case metav1.GetControllerOf(f.machine) == nil:
		return decision{keep, phaseFailed, v1alpha3.ReasonKept, fmt.Sprintf(
			"Machine %s is kept, because nothing would make another in its place: %s: mend it, or delete it", name, why), 0}
	case controlPlane:
		return decision{handOver, phaseFailed, v1alpha3.ReasonHandedOver, fmt.Sprintf(
			"Machine %s is left to its control plane to replace: %s", name, why), 0}
	default:
		return decision{replace, phaseFailed, v1alpha3.ReasonReplaced, fmt.Sprintf("Machine %s is replaced: %s", name, why), 0}
	}
}

// healthy tells whether the MachineHealthCheck has come to say so since it asked for remediation. What it said before is older than that: it
// writes it into the Machine only afterwards.
func healthy(machine *clusterv1.Machine, remediation *v1alpha3.MetalRemediation) bool {
	for _, c := range machine.Status.Conditions {
		if c.Type == clusterv1.MachineHealthCheckSucceededCondition {
			return c.Status == metav1.ConditionTrue && !c.LastTransitionTime.Before(&remediation.CreationTimestamp)
		}
	}

	return false
}

func limitOf(r *v1alpha3.MetalRemediation) int64 {
	return ptr.Deref(r.Spec.Strategy.RetryLimit, defaultLimit)
}

// remaining is what is left of the time that a machine has after a try. It is never more than the whole, so that a clock that was set back
// is looked at again in time.
func remaining(f facts) time.Duration {
	last := f.remediation.Status.LastRemediated
	if last == nil {
		return 0
	}

	whole := timeout(f.remediation)

	return min(last.Add(whole).Sub(f.now), whole)
}

// givenBack is what is left of the time that a machine has when it need not be left alone any more: whoever had its server in hand has just
// switched it on, its Talos has just come back, or nobody has judged its health during a pause. What was said last tells when that was.
func givenBack(f facts) time.Duration {
	whole, told := timeout(f.remediation), f.remediation.Status.Conditions
	said, _ := told.Find(v1alpha3.ConditionReady)

	switch {
	case told.Is(contract.ConditionPaused, corev1.ConditionTrue):
		return whole
	case said.Reason == v1alpha3.ReasonServerPaused, said.Reason == v1alpha3.ReasonInstallsTalos:
		return whole
	case said.Reason == v1alpha3.ReasonServerBack:
		return min(said.LastTransitionTime.Add(whole).Sub(f.now), whole)
	default:
		return 0
	}
}

func timeout(r *v1alpha3.MetalRemediation) time.Duration {
	if given := r.Spec.Strategy.Timeout; given != nil {
		return given.Duration
	}

	return defaultTimeout
}
