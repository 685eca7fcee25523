// Package contract is what Cluster API asks of the objects of all providers: that they find their owners, and are left alone during
// a pause, and tell so.
package contract

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// ConditionPaused tells whether an object is left alone.
const ConditionPaused metal.ConditionType = clusterv1.PausedCondition

// Paused tells whether an object is to be left alone: its own annotation says so, or its Cluster, which may be nil.
func Paused(object client.Object, cluster *clusterv1.Cluster) bool {
	return len(pauses(object, cluster)) > 0
}

// Pause is the condition that tells whether an object is left alone, and what says so. The Cluster may be nil.
func Pause(object client.Object, cluster *clusterv1.Cluster) metal.Condition {
	why := pauses(object, cluster)
	if len(why) == 0 {
		return False(ConditionPaused, metal.SeverityInfo, clusterv1.NotPausedReason, "")
	}

	return metal.Condition{
		Type: ConditionPaused, Status: corev1.ConditionTrue, Reason: clusterv1.PausedReason, Message: strings.Join(why, ", and "),
	}
}

// pauses are what says that an object is to be left alone.
func pauses(object client.Object, cluster *clusterv1.Cluster) []string {
	var why []string

	if cluster != nil && cluster.Spec.Paused != nil && *cluster.Spec.Paused {
		why = append(why, "spec.paused of Cluster "+cluster.Name+" is true")
	}

	if _, annotated := object.GetAnnotations()[clusterv1.PausedAnnotation]; annotated {
		why = append(why, "it has the annotation "+clusterv1.PausedAnnotation)
	}

	return why
}

// Owner gets the owner of a kind of Cluster API, in whichever version the reference is, into owner. It tells whether there is one.
func Owner(ctx context.Context, reader client.Reader, object client.Object, kind string, owner client.Object) (bool, error) {
	for _, reference := range object.GetOwnerReferences() {
		group, _, _ := strings.Cut(reference.APIVersion, "/")
		if group != clusterv1.GroupVersion.Group || reference.Kind != kind {
			continue
		}

		found, err := Find(ctx, reader, client.ObjectKey{Namespace: object.GetNamespace(), Name: reference.Name}, owner)

		return found && owner.GetUID() == reference.UID, err
	}

	return false, nil
}

// Find gets an object, and tells whether there is one.
func Find(ctx context.Context, reader client.Reader, key client.ObjectKey, object client.Object) (bool, error) {
	err := reader.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}

	return err == nil, err //nolint:wrapcheck // it names the object
}

// Conditions are those with one of them set, whose time is that of its last change.
func Conditions(all metal.Conditions, condition metal.Condition) metal.Conditions {
	condition.LastTransitionTime = metav1.Time{Time: time.Now().Truncate(time.Second)}

	if was, ok := all.Find(condition.Type); ok {
		time := was.LastTransitionTime
		if was.LastTransitionTime = condition.LastTransitionTime; was == condition {
			condition.LastTransitionTime = time
		}
	}

	return all.With(condition)
}

// False is a condition of a severity.
func False(kind metal.ConditionType, severity metal.ConditionSeverity, reason, message string) metal.Condition {
	return metal.Condition{Type: kind, Status: corev1.ConditionFalse, Severity: severity, Reason: reason, Message: message}
}
