package v1alpha2_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func TestHasStep(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	status := &v1alpha2.ServerStatus{Boots: []v1alpha2.Boot{
		{}, {Steps: []v1alpha2.BootStep{{Step: "dhcp", Time: metav1.NewTime(at.Add(-time.Minute))}, {Step: v1alpha2.StepConfig, Time: metav1.NewTime(at)}}},
	}}

	for name, c := range map[string]struct {
		step  string
		since time.Time
		want  bool
	}{
		"then":         {v1alpha2.StepConfig, at, true},
		"later":        {v1alpha2.StepConfig, at.Add(-time.Second), true},
		"before":       {v1alpha2.StepConfig, at.Add(time.Second), false},
		"another step": {"dhcp", at, false},
	} {
		if got := status.HasStep(c.step, c.since); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
