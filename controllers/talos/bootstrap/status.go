package bootstrap

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// available writes that the Secret is there, as both contracts want to know it.
func available(status *v1alpha3.TalosConfigStatus, name string) {
	status.Ready, status.DataSecretName = true, ptr.To(name)
	status.Initialization = &v1alpha3.Initialization{DataSecretCreated: ptr.To(true)}

	set(status, metal.Condition{Type: v1alpha3.DataSecretAvailableCondition, Status: corev1.ConditionTrue})
}

// unavailable writes what is waited for.
func unavailable(status *v1alpha3.TalosConfigStatus, reason, message string) {
	broken(status, metal.Condition{
		Type: v1alpha3.DataSecretAvailableCondition, Severity: metal.SeverityInfo, Reason: reason, Message: message,
	})
}

// failure writes why there is no configuration.
func failure(status *v1alpha3.TalosConfigStatus, err error) {
	reason := v1alpha3.ReasonGenerationFailed
	if errors.Is(err, errLost) {
		reason = v1alpha3.ReasonSecretsMissing
	}

	broken(status, metal.Condition{
		Type: v1alpha3.DataSecretAvailableCondition, Severity: metal.SeverityError, Reason: reason, Message: err.Error(),
	})
}

// clientConfig writes whether there are configurations for talosctl. The one of the cluster concerns its control plane only.
func clientConfig(status *v1alpha3.TalosConfigStatus, err error, shared bool) {
	if err != nil {
		broken(status, metal.Condition{
			Type: v1alpha3.ClientConfigAvailableCondition, Severity: metal.SeverityError,
			Reason: v1alpha3.ReasonClientGenerationFailed, Message: err.Error(),
		})
	} else if shared {
		set(status, metal.Condition{Type: v1alpha3.ClientConfigAvailableCondition, Status: corev1.ConditionTrue})
	} else {
		status.Conditions = status.Conditions.Without(v1alpha3.ClientConfigAvailableCondition)
	}
}

func broken(status *v1alpha3.TalosConfigStatus, condition metal.Condition) {
	condition.Status = corev1.ConditionFalse
	set(status, condition)
}

// summarise writes the condition that says whether all is well, or the first thing that is not.
func summarise(status *v1alpha3.TalosConfigStatus) {
	summary, ok := status.Conditions.Find(v1alpha3.DataSecretAvailableCondition)
	if !ok {
		return
	}

	client, ok := status.Conditions.Find(v1alpha3.ClientConfigAvailableCondition)
	if ok && client.Status == corev1.ConditionFalse && summary.Status == corev1.ConditionTrue {
		summary = client
	}

	summary.Type = v1alpha3.ReadyCondition
	set(status, summary)
}

// set sets a condition, whose time is that of its last change.
func set(status *v1alpha3.TalosConfigStatus, condition metal.Condition) {
	condition.LastTransitionTime = metav1.Time{Time: time.Now().Truncate(time.Second)}

	if was, ok := status.Conditions.Find(condition.Type); ok && was.Status == condition.Status {
		condition.LastTransitionTime = was.LastTransitionTime
	}

	status.Conditions = status.Conditions.With(condition)
}

func isError(condition metal.Condition) bool {
	return condition.Status == corev1.ConditionFalse && condition.Severity == metal.SeverityError
}
