package v1alpha2

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Boot is one start of a machine, as far as the appliance has seen it.
type Boot struct {
	// StartedAt is when the first step was seen.
	StartedAt metav1.Time `json:"startedAt"`

	// Steps that the machine has taken, the earliest first.
	// +optional
	// +listType=atomic
	Steps []BootStep `json:"steps,omitempty"`
}

// StepConfig is the step of a machine that has fetched its configuration: it has run an operating system.
const StepConfig = "config"

// HasStep tells whether the machine has come to a step, in any of the boots that are known, at a time or later.
func (s *ServerStatus) HasStep(name string, since time.Time) bool {
	for _, boot := range s.Boots {
		for _, step := range boot.Steps {
			if step.Step == name && !step.Time.Time.Before(since) {
				return true
			}
		}
	}

	return false
}

// BootStep is something that a machine did on its way from the firmware to its work.
type BootStep struct {
	// Step is its name: dhcp, tftp, http, ipxe, kernel, agent, wipe, clean, config or talos.
	Step string `json:"step"`

	// Time when it was first seen.
	Time metav1.Time `json:"time"`

	// Address that the machine had.
	// +optional
	Address string `json:"address,omitempty"`

	// Detail tells more for people, such as the file.
	// +optional
	Detail string `json:"detail,omitempty"`

	// Repeated is how often it was seen again.
	// +optional
	Repeated int64 `json:"repeated,omitempty"`
}
