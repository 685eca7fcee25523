package v1alpha2

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Reasons of ConditionPowerRequested for machines that no power control turns off, and whose agent does.
const (
	// ReasonAgentAsked is that of a request that the machine's agent is to be told of: it asks what to do all the time.
	ReasonAgentAsked = "AgentAsked"
	// ReasonAgentObeys is that of one that it was told.
	ReasonAgentObeys = "AgentObeys"
)

// AgentHears is how long an agent that runs may take to hear of a request. One that starts later is not told: who asked has long gone there.
const AgentHears = 2 * time.Minute

// AskedOff tells whether a server's agent is to turn its machine off now.
func (s *Server) AskedOff(now time.Time) bool {
	c, _ := s.Status.Conditions.Find(ConditionPowerRequested)

	return c.Status == corev1.ConditionUnknown && c.Reason == ReasonAgentAsked && now.Sub(c.LastTransitionTime.Time) < AgentHears
}
