package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/redfish"
)

// Reasons of Events, which are upstream's.
const (
	eventAllocation = "Server Allocation"
	eventManagement = "Server Management"
)

const (
	// wipeInProgress is the message of the PowerCycle condition that an agent's heartbeat writes.
	wipeInProgress = "wipe in progress"
)

var errDefies = errors.New("it says that it did what it was told, and the machine's power is as before: it is told again from time to time; " +
	"look at the machine, and at the settings of its BMC or power API")

var errUnknown = errors.New("the power control does not tell whether the machine is on")

// result is what came of a reconcile.
type result struct {
	decision Decision
	view     view
	// outcome is the error of the action, nil when it succeeded or there was none.
	outcome error
	binding *v1alpha3.ServerBinding
}

// record writes a result into the server's status, and tells people what is new.
func (r *Reconciler) record(ctx context.Context, s *v1alpha2.Server, result result) error {
	before := s.DeepCopy()
	pin, pinned := r.write(s, result)
	r.tell(before, s, result)

	if apiequality.Semantic.DeepEqual(before.Status, s.Status) {
		return nil
	}

	// With a lock: somebody else may have written a condition, or that the server was wiped.
	err := r.client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return fmt.Errorf("write status of server %s: %w", s.Name, err)
	}

	r.answers.Delete(s.Name)

	// Not before it is written: the driver tells it only once.
	if pinned {
		r.pins.CompareAndDelete(s.Name, pin)
	}

	return nil
}

// write makes a server's status say what a result is, and what else is not written yet, as the fingerprint of a certificate.
func (r *Reconciler) write(s *v1alpha2.Server, result result) (pin any, pinned bool) {
	result.write(&s.Status)

	if firstAccepted(s) {
		s.Status.AcceptedAt = &metav1.Time{Time: time.Now()}
	}

	if _, open := s.Annotations[v1alpha2.PowerRequestAnnotation]; !open {
		r.settle(s)
	}

	if pin, pinned = r.pins.Load(s.Name); pinned {
		s.Status.BMCFingerprint = pin.(string) //nolint:forcetypeassert // nothing else is stored
	}

	return pin, pinned
}

// firstAccepted tells whether a server is accepted, and its status does not tell that yet.
func firstAccepted(s *v1alpha2.Server) bool { return s.Spec.Accepted && s.Status.AcceptedAt == nil }

// marks tells whether a machine was restarted for its wipe.
func (t result) marks() bool {
	return t.decision.Marks && t.outcome == nil && t.decision.Action != NoAction
}

// write makes a status say what a result is.
func (t result) write(status *v1alpha2.ServerStatus) {
	d := t.decision
	status.InUse, status.IsClean = d.InUse, d.IsClean
	status.Ready = d.Ready && t.outcome == nil && t.view.problem == nil
	status.Power = t.power()
	status.Phase, status.WaitingFor = string(d.Phase), t.waiting()

	if t.binding != nil {
		status.AllocatedFrom = classOf(t.binding)
	}

	switch {
	case t.binding == nil:
		status.Conditions = status.Conditions.Without(v1alpha2.ConditionPXEBooted)
	case d.Phase == InUse:
		set(status, v1alpha2.Condition{Type: v1alpha2.ConditionPXEBooted, Status: corev1.ConditionTrue})
	}

	// A person, or a client, may call a server clean that is about to be wiped.
	if d.IsClean && status.Conditions.Is(v1alpha2.ConditionPowerCycle, corev1.ConditionFalse) {
		set(status, v1alpha2.Condition{Type: v1alpha2.ConditionPowerCycle, Status: corev1.ConditionTrue})
	}

	t.writeControl(status)
}

// classOf is the class that a server was taken from, empty if it was taken by its name.
func classOf(binding *v1alpha3.ServerBinding) string {
	if binding.Spec.ServerClassRef == nil {
		return ""
	}

	return binding.Spec.ServerClassRef.Name
}

// power is the state as the API has it. What nobody can ask is on, as upstream has it: the machine has made itself heard.
func (t result) power() string {
	switch {
	case t.view.problem != nil:
		return v1alpha2.PowerUnknown
	case t.view.control == nil:
		return v1alpha2.PowerOn
	case t.view.reading.state == "":
		return v1alpha2.PowerUnknown
	default:
		return string(t.view.reading.state)
	}
}

// waiting tells what has to happen, and first of all what is wrong.
func (t result) waiting() string {
	switch {
	case t.decision.Phase == Deleting: // that its power cannot be controlled is told by its condition
		return t.decision.Waiting
	case t.outcome != nil && needsPerson(t.outcome):
		return "a person: " + t.outcome.Error()
	case t.outcome != nil:
		return "its power control to work: " + text(t.outcome)
	case t.view.problem != nil && t.decision.InUse || t.view.problem != nil && t.decision.Phase == Waiting:
		return "its power control: " + t.view.problem.Error()
	default:
		return t.decision.Waiting
	}
}

// writeControl keeps the condition that tells why the power cannot be controlled.
func (t result) writeControl(status *v1alpha2.ServerStatus) {
	reason, err := t.trouble()

	switch {
	case err != nil:
		set(status, v1alpha2.Condition{
			Type: v1alpha2.ConditionPowerControl, Status: corev1.ConditionFalse, Severity: v1alpha2.SeverityWarning, Reason: reason, Message: text(err),
		})
	case t.view.control == nil:
		status.Conditions = status.Conditions.Without(v1alpha2.ConditionPowerControl)
	case t.view.reading.state != "":
		set(status, v1alpha2.Condition{Type: v1alpha2.ConditionPowerControl, Status: corev1.ConditionTrue})
	}
}

// trouble is what is wrong with the control of a server's power.
func (t result) trouble() (reason string, err error) {
	switch {
	case t.view.problem != nil:
		return reasonOf(t.view.problem), t.view.problem
	case t.outcome != nil:
		return reasonOf(t.outcome), advised(t.outcome)
	case t.view.reading.err != nil:
		return reasonOf(t.view.reading.err), advised(t.view.reading.err)
	case t.defied():
		return reasonDefies, errDefies
	case t.decision.Unknown:
		return reasonFailed, errUnknown
	default:
		return "", nil
	}
}

// advised is an error with what a person writes into the Server to mend it, where the driver, which knows of no Servers, cannot tell.
func advised(err error) error {
	var changed *redfish.CertificateError
	if errors.As(err, &changed) {
		return fmt.Errorf("%w; the fingerprint that is trusted is set by spec.power.redfish.fingerprint", err)
	}

	return err
}

// defied tells whether the control goes on not doing what the appliance wants of it. What a person has asked for is asked once: that it was not
// done is no trouble that lasts.
func (t result) defied() bool {
	return t.view.reading.defies && !t.decision.Request && (t.decision.Action != NoAction || t.view.reading.told != "")
}

// tell records Events about what is new.
func (r *Reconciler) tell(before, s *v1alpha2.Server, t result) {
	d := t.decision

	if before.Status.InUse && !s.Status.InUse {
		r.events.Eventf(s, nil, corev1.EventTypeNormal, eventAllocation, "Release", "the server is no more allocated")
	}

	was, _ := before.Status.Conditions.Find(v1alpha2.ConditionPowerControl)
	if now, ok := s.Status.Conditions.Find(v1alpha2.ConditionPowerControl); ok && now.Status == corev1.ConditionFalse && was.Message != now.Message {
		r.events.Eventf(s, nil, corev1.EventTypeWarning, eventManagement, "ControlPower", "%s", now.Message)
	}

	if d.Refused != "" {
		r.events.Eventf(s, nil, corev1.EventTypeWarning, eventManagement, "Refuse", "%s", d.Refused)
	}

	if t.outcome != nil || t.view.control == nil || t.defied() {
		return
	}

	switch {
	case d.Request:
		r.events.Eventf(s, nil, corev1.EventTypeNormal, eventManagement, "Request", "power %s, as somebody has asked", d.Action)
	case d.Action == TurnOff:
		r.events.Eventf(s, nil, corev1.EventTypeNormal, eventManagement, "TurnOff", "turned off")
	case d.Marks:
		r.events.Eventf(s, nil, corev1.EventTypeNormal, eventManagement, "Wipe", "started from the network for its wipe")
	case d.Action == TurnOn:
		r.events.Eventf(s, nil, corev1.EventTypeNormal, eventManagement, "TurnOn", "turned on, to boot from the network")
	}
}

// reasonOf sums up an error of power control.
func reasonOf(err error) string {
	var (
		problem *problemError
		changed *redfish.CertificateError
	)

	switch {
	case errors.As(err, &problem):
		return problem.reason
	case errors.As(err, &changed):
		return reasonChanged
	case needsPerson(err):
		return reasonPerson
	case power.ClassOf(err) == power.Denied:
		return reasonDenied
	default:
		return reasonFailed
	}
}

// set puts a condition in its place. Unless it says otherwise, its time is that of its last change.
func set(status *v1alpha2.ServerStatus, c v1alpha2.Condition) {
	old, found := status.Conditions.Find(c.Type)
	explicit := !c.LastTransitionTime.IsZero()

	if !explicit {
		c.LastTransitionTime = metav1.Now()
		if found && old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message && old.Severity == c.Severity {
			return
		}
	}

	status.Conditions = status.Conditions.With(c)
}
