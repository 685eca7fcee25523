package registration

import (
	"context"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Step is something that a machine has come to, on its way from the firmware to its work.
type Step struct {
	// Server is its name.
	Server string
	// MACs of its network adapters, and the address that it had.
	MACs    []string
	Address string
	// Name is agent, wipe or clean.
	Name string
	// Detail tells people more.
	Detail string
}

// The names of steps.
const (
	stepAgent = "agent"
	stepWipe  = "wipe"
	stepClean = "clean"
)

// step tells of one.
func (s *Service) step(ctx context.Context, server *v1alpha2.Server, name, detail string) {
	if s.config.Step == nil || server == nil {
		return
	}

	step := Step{Server: server.Name, Name: name, Detail: detail}
	if from := address(ctx); from.IsValid() {
		step.Address = from.String()
	}

	if hardware := server.Spec.Hardware; hardware != nil && hardware.Network != nil {
		for _, adapter := range hardware.Network.Interfaces {
			if adapter != nil && adapter.MAC != "" {
				step.MACs = append(step.MACs, adapter.MAC)
			}
		}
	}

	s.config.Step(step)
}
