package events

import (
	"net/netip"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// Aspect is one thing that is known about a machine, under upstream's name of the condition.
type Aspect string

// Aspects of a machine.
const (
	ConfigLoaded    Aspect = "TalosConfigLoaded"
	ConfigValidated Aspect = "TalosConfigValidated"
	Installed       Aspect = "TalosInstalled"
)

// Reasons of aspects that are not so, as upstream has them.
const (
	ReasonLoadFailed       = "TalosConfigLoadFailed"
	ReasonValidationFailed = "TalosConfigValidationFailed"
	ReasonInstalling       = "TalosInstallationInProgress"
	ReasonInstallFailed    = "TalosInstallationFailed"
)

// Finding tells whether an aspect is so.
type Finding struct {
	Aspect Aspect
	True   bool
	// Reason is why it is not. Everything but an installation that goes on is an error.
	Reason string
	// Message is what the machine says about it.
	Message string
}

// Addressing is how a machine can be reached, as it says itself.
type Addressing struct {
	Hostname  string
	Addresses []string
}

// Effect is what an event says. The zero value is nothing that is kept.
type Effect struct {
	Findings []Finding
	// Addressing is nil if the event is not about it.
	Addressing *Addressing
	// Loaded tells that the machine has its configuration and needs it no more in this boot.
	Loaded bool
	// Step is what the machine does now, for its timeline, in words; empty if that is not worth a line.
	Step string
}

// Facts are what must be known of a machine to understand its events.
type Facts struct {
	// Tunnel is its address in SideroLink, which is none of its own.
	Tunnel netip.Addr
	// Hidden are networks whose addresses are left out.
	Hidden []netip.Prefix
	// Unattended tells that an UnattendedInstallConfig installs the machine after its boot sequence has begun, so that
	// this does not tell of an installed machine.
	Unattended bool
}

const (
	sequenceBoot    = "boot"
	sequenceInstall = "install"
	phaseInstall    = "install"
	phaseSaveConfig = "saveConfig"

	// rebootError is in the error that ends an install sequence as planned.
	rebootError = "unix.Reboot"
)

// Decide tells what an event says about the machine that it is from.
func Decide(event proto.Message, facts Facts) Effect {
	switch e := event.(type) {
	case *machine.AddressEvent:
		return Effect{Addressing: &Addressing{Hostname: e.GetHostname(), Addresses: visible(e.GetAddresses(), facts)}}
	case *machine.ConfigLoadErrorEvent:
		why := machineconfig.Discreet(e.GetError())

		return Effect{
			Findings: []Finding{{Aspect: ConfigLoaded, Reason: ReasonLoadFailed, Message: why}},
			Step:     "configuration could not be loaded: " + why,
		}
	case *machine.ConfigValidationErrorEvent:
		why := machineconfig.Discreet(e.GetError())

		return Effect{
			Findings: []Finding{{Aspect: ConfigValidated, Reason: ReasonValidationFailed, Message: why}},
			Step:     "configuration is not valid: " + why,
		}
	case *machine.PhaseEvent:
		return phase(e)
	case *machine.SequenceEvent:
		return sequence(e, facts)
	case *machine.MachineStatusEvent:
		return stage(e)
	default:
		return Effect{}
	}
}

func phase(e *machine.PhaseEvent) Effect {
	if e.GetAction() != machine.PhaseEvent_START {
		return Effect{}
	}

	switch e.GetPhase() {
	case phaseInstall:
		return Effect{Findings: []Finding{{Aspect: Installed, Reason: ReasonInstalling}}, Step: "installs"}
	case phaseSaveConfig:
		return Effect{Findings: []Finding{{Aspect: ConfigValidated, True: true}, {Aspect: ConfigLoaded, True: true}}, Loaded: true}
	default:
		return Effect{}
	}
}

func sequence(e *machine.SequenceEvent, facts Facts) Effect {
	switch {
	case e.GetSequence() == sequenceBoot && e.GetAction() == machine.SequenceEvent_START:
		effect := Effect{
			Findings: []Finding{{Aspect: ConfigValidated, True: true}, {Aspect: ConfigLoaded, True: true}},
			Loaded:   true, Step: "boots",
		}
		if !facts.Unattended {
			effect.Findings = append(effect.Findings, Finding{Aspect: Installed, True: true})
		}

		return effect
	case e.GetSequence() == sequenceInstall && e.GetAction() == machine.SequenceEvent_NOOP && fatal(e.GetError()):
		if strings.Contains(e.GetError().GetMessage(), rebootError) {
			return Effect{Findings: []Finding{{Aspect: Installed, True: true}}, Step: "installed, restarts"}
		}

		return Effect{
			Findings: []Finding{{Aspect: Installed, Reason: ReasonInstallFailed, Message: e.GetError().GetMessage()}},
			Step:     "installation failed: " + e.GetError().GetMessage(),
		}
	default:
		return Effect{}
	}
}

// fatal needs an error: the code of none is that of a fatal one.
func fatal(e *common.Error) bool { return e != nil && e.GetCode() == common.Code_FATAL }

// stage tells of a machine that runs. Only an installed one does, whichever way it was installed.
func stage(e *machine.MachineStatusEvent) Effect {
	switch e.GetStage() {
	case machine.MachineStatusEvent_INSTALLING:
		return Effect{Findings: []Finding{{Aspect: Installed, Reason: ReasonInstalling}}}
	case machine.MachineStatusEvent_RUNNING:
		effect := Effect{Findings: []Finding{{Aspect: Installed, True: true}}}
		if e.GetStatus().GetReady() {
			effect.Step = "runs and is ready"
		}

		return effect
	default:
		return Effect{}
	}
}

// visible are the addresses that others than the appliance may use, as they came.
func visible(all []string, facts Facts) []string {
	var kept []string

	for _, text := range all {
		address, err := netip.ParseAddr(text)
		if err != nil || address == facts.Tunnel || hidden(address, facts.Hidden) {
			continue
		}

		kept = append(kept, text)
	}

	return kept
}

func hidden(address netip.Addr, networks []netip.Prefix) bool {
	for _, network := range networks {
		if network.Contains(address.WithZone("")) {
			return true
		}
	}

	return false
}
