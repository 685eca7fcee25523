package contract_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
