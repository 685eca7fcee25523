package server

import (
	"errors"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		result result
		status corev1.ConditionStatus
		reason string
		text   string
	}{
		"done":    {result{}, corev1.ConditionTrue, requestDone, "power off"},
		"failed":  {result{outcome: errors.New("the BMC hangs")}, corev1.ConditionFalse, requestFailed, "power off: the BMC hangs"},
		"refused": {result{decision: Decision{Refused: "no"}}, corev1.ConditionFalse, requestRefused, "power off: no"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.result.answer(TurnOff)
			if got.Status != c.status || got.Reason != c.reason || got.Message != c.text || got.LastTransitionTime.IsZero() {
				t.Errorf("got %+v", got)
			}

			if (got.Severity == "") != (c.status == corev1.ConditionTrue) {
				t.Errorf("severity %q", got.Severity)
			}
		})
	}
}

// TestForget: only a request of which nobody can tell the end any more is forgotten.
func TestForget(t *testing.T) {
	for reason, want := range map[string]string{
		requestWaits: requestInterrupted, requestDone: requestDone, requestFailed: requestFailed, requestRefused: requestRefused, "": "",
	} {
		status := &v1alpha2.ServerStatus{}
		if reason != "" {
			set(status, requested(TurnOn, corev1.ConditionUnknown, reason, ""))
		}

		forget(status)

		if c, _ := status.Conditions.Find(v1alpha2.ConditionPowerRequested); c.Reason != want || reason == "" && len(status.Conditions) > 0 {
			t.Errorf("%q becomes %+v, want %q", reason, c, want)
		}
	}
}

// TestReasonsAreTold holds the docs to the reasons.
func TestReasonsAreTold(t *testing.T) {
	text, err := os.ReadFile("../../../docs/servers.md")
	if err != nil {
		t.Fatal(err)
	}

	_, rest, _ := strings.Cut(string(text), "| status | reason |")
	table, _, _ := strings.Cut(rest, "\n\n")
	reasons := []string{requestWaits, requestDone, requestFailed, requestRefused, requestInterrupted}

	for _, reason := range reasons {
		if !strings.Contains(table, "| `"+reason+"` |") {
			t.Errorf("docs/servers.md does not tell %s", reason)
		}
	}

	if told := strings.Count(strings.TrimSpace(table), "\n") - 1; told != len(reasons) {
		t.Errorf("docs/servers.md tells %d reasons, there are %d", told, len(reasons))
	}
}
