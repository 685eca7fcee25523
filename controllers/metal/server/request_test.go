package server

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

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
		"done":   {result{}, corev1.ConditionTrue, requestDone, "power off"},
		"failed": {result{outcome: errors.New("the BMC hangs")}, corev1.ConditionFalse, requestFailed, "power off: the BMC hangs"},
		"agent": {
			result{decision: Decision{ByAgent: true}}, corev1.ConditionUnknown, v1alpha2.ReasonAgentAsked,
			"power off: no power control does that: its agent is told to, if it runs",
		},
		"refused": {result{decision: Decision{Refused: "no"}}, corev1.ConditionFalse, requestRefused, "power off: no"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.result.answer(TurnOff)
			if got.Status != c.status || got.Reason != c.reason || got.Message != c.text || got.LastTransitionTime.IsZero() {
				t.Errorf("got %+v", got)
			}

			if (got.Severity == "") != (c.status != corev1.ConditionFalse) {
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

// TestUnheard ends a request that no agent has heard of, in its time.
func TestUnheard(t *testing.T) {
	s := &v1alpha2.Server{}
	set(&s.Status, result{decision: Decision{ByAgent: true}}.answer(TurnOff))

	asked, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)

	for _, c := range []struct {
		after  time.Duration
		left   time.Duration
		reason string
	}{
		{0, v1alpha2.AgentHears, v1alpha2.ReasonAgentAsked},
		{v1alpha2.AgentHears - time.Millisecond, time.Second, v1alpha2.ReasonAgentAsked},
		{v1alpha2.AgentHears, 0, requestFailed},
		{v1alpha2.AgentHears, 0, requestFailed},
	} {
		now := asked.LastTransitionTime.Add(c.after)
		giveUp(s, now)

		is, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)
		if left := unheard(s, now); left != c.left || is.Reason != c.reason {
			t.Errorf("after %s it has %s, and is %+v", c.after, left, is)
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
	reasons := []string{requestWaits, requestDone, requestFailed, requestRefused, requestInterrupted, v1alpha2.ReasonAgentAsked, v1alpha2.ReasonAgentObeys}

	for _, reason := range reasons {
		if !strings.Contains(table, "| `"+reason+"` |") {
			t.Errorf("docs/servers.md does not tell %s", reason)
		}
	}

	if told := strings.Count(strings.TrimSpace(table), "\n") - 1; told != len(reasons) {
		t.Errorf("docs/servers.md tells %d reasons, there are %d", told, len(reasons))
	}
}
