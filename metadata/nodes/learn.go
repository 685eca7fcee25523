package nodes

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/metadata/events"
)

// What is kept of what a machine says, which may be anything.
const (
	maxAddresses = 64
	maxHostname  = 253
	maxMessage   = 1 << 10
)

// reached puts down how a machine can be reached, and tells whether that is news.
func reached(spec *v1alpha3.ServerBindingSpec, now *events.Addressing) bool {
	if now == nil {
		return false
	}

	addresses, hostname := now.Addresses[:min(len(now.Addresses), maxAddresses)], text(now.Hostname, maxHostname)
	if slices.Equal(addresses, spec.Addresses) && hostname == spec.Hostname {
		return false
	}

	spec.Addresses, spec.Hostname = slices.Clone(addresses), hostname

	return true
}

// learn puts down what an event says at a time.
func learn(status *v1alpha3.ServerBindingStatus, effect events.Effect, now time.Time) {
	for _, finding := range effect.Findings {
		condition := conditionOf(finding)

		was, known := status.Conditions.Find(condition.Type)
		condition.LastTransitionTime = was.LastTransitionTime

		if known && condition == was {
			continue
		}

		condition.LastTransitionTime = metav1.NewTime(now)
		status.Conditions = status.Conditions.With(condition)
	}

	if effect.Loaded {
		loaded := metav1.NewMicroTime(now)
		status.ConfigurationLoadedAt = &loaded
	}
}

func conditionOf(f events.Finding) metal.Condition {
	condition := metal.Condition{Type: metal.ConditionType(f.Aspect), Status: corev1.ConditionTrue}
	if f.True {
		return condition
	}

	condition.Status, condition.Severity = corev1.ConditionFalse, metal.SeverityError
	condition.Reason, condition.Message = f.Reason, text(f.Message, maxMessage)

	if f.Reason == events.ReasonInstalling {
		condition.Severity = metal.SeverityInfo
	}

	return condition
}

// text is what the API takes of a text, of so many bytes at most.
func text(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }
