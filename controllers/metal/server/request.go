package server

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Reasons of the PowerRequested condition.
const (
	requestWaits       = "Waiting"
	requestDone        = "Done"
	requestFailed      = "Failed"
	requestRefused     = "Refused"
	requestInterrupted = "Interrupted"
)

// takeRequest removes what a person has asked for, and writes down before that it is being done. It is not taken if somebody
// else has changed the server: then it is looked at again.
func (r *Reconciler) takeRequest(ctx context.Context, s *v1alpha2.Server) (bool, error) {
	asked, ok := s.Annotations[v1alpha2.PowerRequestAnnotation]
	if !ok {
		return true, nil
	}

	if asked != "" {
		before := s.DeepCopy()
		set(&s.Status, requested(Action(asked), corev1.ConditionUnknown, requestWaits, ""))

		if err := r.client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return false, ignoreChanged(fmt.Errorf("write that a request for server %s is taken up: %w", s.Name, err))
		}
	}

	r.answers.Delete(s.Name) // that of the request before

	before := s.DeepCopy()
	delete(s.Annotations, v1alpha2.PowerRequestAnnotation)

	if err := r.client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return false, ignoreChanged(fmt.Errorf("take up the request for server %s: %w", s.Name, err))
	}

	return true, nil
}

// requested is what became of a request. Each has its own time, also when it ends as the one before.
func requested(asked Action, status corev1.ConditionStatus, reason, why string) v1alpha2.Condition {
	c := v1alpha2.Condition{
		Type: v1alpha2.ConditionPowerRequested, Status: status, Reason: reason, Message: "power " + string(asked), LastTransitionTime: metav1.Now(),
	}

	if why != "" {
		c.Message += ": " + why
	}

	if status == corev1.ConditionFalse {
		c.Severity = v1alpha2.SeverityWarning
	}

	return c
}

// answer tells what became of what a person has asked for.
func (t result) answer(asked Action) v1alpha2.Condition {
	switch {
	case t.decision.ByAgent:
		return requested(asked, corev1.ConditionUnknown, v1alpha2.ReasonAgentAsked, "no power control does that: its agent is told to, if it runs")
	case t.decision.Refused != "":
		return requested(asked, corev1.ConditionFalse, requestRefused, t.decision.Refused)
	case t.outcome != nil:
		return requested(asked, corev1.ConditionFalse, requestFailed, t.outcome.Error())
	default:
		return requested(asked, corev1.ConditionTrue, requestDone, "")
	}
}

// answer is what became of a request, as long as that is not written.
type answer struct {
	of        types.UID
	condition v1alpha2.Condition
}

// settle ends a request that is not open any more, and of which nothing is written: by what is known here, or by telling that nobody knows.
func (r *Reconciler) settle(s *v1alpha2.Server) {
	value, _ := r.answers.Load(s.Name)
	known, ok := value.(answer)

	if open, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested); ok && known.of == s.UID && open.Reason == requestWaits {
		set(&s.Status, known.condition)
	}

	forget(&s.Status)
	giveUp(s, time.Now())
}

// unheard is how long a machine's agent still has to hear of a request; 0 when it need not.
func unheard(s *v1alpha2.Server, now time.Time) time.Duration {
	c, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)
	if !s.AskedOff(now) {
		return 0
	}

	return max(v1alpha2.AgentHears-now.Sub(c.LastTransitionTime.Time), time.Second)
}

// giveUp is for a request that no agent has heard of.
func giveUp(s *v1alpha2.Server, now time.Time) {
	c, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)
	if c.Reason != v1alpha2.ReasonAgentAsked || s.AskedOff(now) {
		return
	}

	set(&s.Status, requested(TurnOff, corev1.ConditionFalse, requestFailed,
		fmt.Sprintf("no power control turns the machine off, and no agent was told to within %s: somebody has to go there", v1alpha2.AgentHears)))
}

// forget is for a request of which nobody knows what became: the appliance ended meanwhile.
func forget(status *v1alpha2.ServerStatus) {
	c, _ := status.Conditions.Find(v1alpha2.ConditionPowerRequested)
	if c.Reason == requestWaits {
		c.Status, c.Severity, c.Reason, c.LastTransitionTime = corev1.ConditionFalse, v1alpha2.SeverityWarning, requestInterrupted, metav1.Now()
		c.Message += ": the appliance ended before it could tell whether it was done: see whether the machine is on, and ask again"
		set(status, c)
	}
}

// note writes what was done to a machine's power and must not be forgotten, and nothing else, whatever somebody else has
// written meanwhile: a restart for a wipe would be done again at once, and what a person has asked for is done only once.
func (r *Reconciler) note(ctx context.Context, s *v1alpha2.Server, t result, asked Action) error {
	key, old := client.ObjectKeyFromObject(s), s.DeepCopy()

	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := r.live.Get(ctx, key, s); err != nil {
			return err
		}

		before := s.DeepCopy()

		if t.marks() {
			set(&s.Status, v1alpha2.Condition{
				Type: v1alpha2.ConditionPowerCycle, Status: corev1.ConditionFalse, Severity: v1alpha2.SeverityInfo, Reason: v1alpha2.ReasonInProgress,
				Message: "restarted for its wipe at " + time.Now().UTC().Format(time.RFC3339), LastTransitionTime: metav1.Now(),
			})
		}

		if asked != NoAction {
			set(&s.Status, t.answer(asked))
			t.writeControl(&s.Status)
		}

		return r.client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if err != nil {
		if asked != NoAction { // the annotation is gone: nobody asks again
			r.answers.Store(s.Name, answer{old.UID, t.answer(asked)})
		}

		return client.IgnoreNotFound(fmt.Errorf("write what was done to server %s: %w", s.Name, err))
	}

	r.started.Delete(s.Name)
	r.tell(old, s, t)

	return nil
}
