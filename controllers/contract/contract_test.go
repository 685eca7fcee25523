package contract_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// TestConditions: the time of a condition is that of its last change, whatever of it changed.
func TestConditions(t *testing.T) {
	old := contract.False("A", metal.SeverityInfo, "Waits", "for one")
	old.LastTransitionTime = metav1.Time{Time: time.Unix(1, 0)}

	for name, c := range map[string]struct {
		now  metal.Condition
		kept bool
	}{
		"same":            {contract.False("A", metal.SeverityInfo, "Waits", "for one"), true},
		"another message": {contract.False("A", metal.SeverityInfo, "Waits", "for two"), false},
		"another reason":  {contract.False("A", metal.SeverityInfo, "Stays", "for one"), false},
		"another weight":  {contract.False("A", metal.SeverityError, "Waits", "for one"), false},
		"true":            {metal.Condition{Type: "A", Status: corev1.ConditionTrue}, false},
		"another type":    {contract.False("B", metal.SeverityInfo, "Waits", "for one"), false},
	} {
		got, ok := contract.Conditions(metal.Conditions{old}, c.now).Find(c.now.Type)
		if kept := got.LastTransitionTime.Equal(&old.LastTransitionTime); !ok || kept != c.kept || got.LastTransitionTime.IsZero() {
			t.Errorf("%s: %+v, kept %v", name, got, kept)
		}
	}
}

// TestPause: whatever says that an object is left alone, its condition tells so, in the shape of contract v1beta1.
func TestPause(t *testing.T) {
	paused, works := &clusterv1.Cluster{}, &clusterv1.Cluster{}
	paused.Name, paused.Spec.Paused, works.Spec.Paused = "c", new(true), new(false)

	plain, annotated := &clusterv1.Machine{}, &clusterv1.Machine{}
	annotated.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}

	for name, c := range map[string]struct {
		object  *clusterv1.Machine
		cluster *clusterv1.Cluster
		want    string // empty when it is not paused
	}{
		"works":        {plain, works, ""},
		"no cluster":   {plain, nil, ""},
		"new cluster":  {plain, &clusterv1.Cluster{}, ""},
		"by cluster":   {plain, paused, "spec.paused of Cluster c is true"},
		"by itself":    {annotated, works, "it has the annotation cluster.x-k8s.io/paused"},
		"without one":  {annotated, nil, "it has the annotation cluster.x-k8s.io/paused"},
		"by both ways": {annotated, paused, "spec.paused of Cluster c is true, and it has the annotation cluster.x-k8s.io/paused"},
	} {
		want := metal.Condition{Type: "Paused", Status: corev1.ConditionTrue, Reason: "Paused", Message: c.want}
		if c.want == "" {
			want = contract.False("Paused", metal.SeverityInfo, "NotPaused", "")
		}

		if got := contract.Pause(c.object, c.cluster); got != want || contract.Paused(c.object, c.cluster) != (c.want != "") {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
