package controlplane

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCurrency(t *testing.T) {
	for outdated, want := range map[bool]metav1.ConditionStatus{false: metav1.ConditionTrue, true: metav1.ConditionFalse} {
		if got := currency(machine{outdated: outdated}); got.Status != want || got.Type != "UpToDate" || got.Reason == "" {
			t.Errorf("outdated %t: %+v", outdated, got)
		}
	}
}
