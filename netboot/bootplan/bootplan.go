package bootplan

import (
	"fmt"
	"slices"
)

// Facts is everything a decision depends on.
type Facts struct {
	// Request is what the machine says about itself.
	Request Request
	// Server is what the API knows about it.
	Server Server
	// Agent says how registration agents are started here.
	Agent Agent
	// Talos says where nodes report to.
	Talos Talos
	// FromDisk is how machines start from their disk, where neither their Server nor its class says.
	FromDisk FromDisk
}

// Server is what the API knows about a machine. The zero value is a machine that never registered, or has to tell more of
// itself: another one may have its UUID.
type Server struct {
	Registered bool
	// Name of its Server.
	Name string
	// Disputed tells that another machine claims the same UUID, and nobody has decided which is which. It boots nothing but its
	// agent.
	Disputed bool
	// Allocation is nil for a server that is not in use.
	Allocation *Allocation
}

// Agent says how registration agents are started.
type Agent struct {
	// Endpoint is the appliance's host:port, an IPv6 host in brackets.
	Endpoint string
	// ExtraArgs replace the default kernel arguments that have the same key.
	ExtraArgs []string
	// Arches are those that an agent was built for.
	Arches []Arch
}

// Action is what the machine does next.
type Action int

const (
	// Wait shows the reason on the machine's screen and lets it ask again.
	Wait Action = iota
	// BootEnvironment starts the kernel of Environment with Args.
	BootEnvironment
	// LoadNewerIPXE replaces the machine's iPXE by the appliance's, named BootFile.
	LoadNewerIPXE
	// BootFromDisk leaves the network boot by FromDisk.
	BootFromDisk
	// NotFound is for a machine whose Environment or class does not exist: it goes on as if nothing answered, and asks again.
	NotFound
	// NotReady is for one whose Environment has no files yet: the same is done.
	NotReady
)

// Plan is a decision.
type Plan struct {
	Action Action
	// Reason for people, shown on the machine's screen.
	Reason string
	// Environment to boot, a folder of boot files.
	Environment string
	// Initrds are files of Environment, in the order in which the kernel unpacks them.
	Initrds []string
	// Args for its kernel.
	Args []string
	// BootFile to load over HTTP.
	BootFile string
	// FromDisk is the way to start from the disk.
	FromDisk FromDisk
}

// Decide says what the machine boots now.
func Decide(facts Facts) Plan {
	request := facts.Request
	if facts.Server.Allocation != nil && !facts.Server.Disputed {
		return allocated(facts)
	}
	switch {
	case !slices.Contains(facts.Agent.Arches, request.Arch):
		return Plan{Action: Wait, Reason: fmt.Sprintf("This appliance has no registration agent for %s machines yet", request.Arch)}
	case request.Loader.outdated():
		return newerIPXE(request.Arch)
	}
	reason := "This machine is not registered yet: starting the registration agent"
	switch {
	case facts.Server.Disputed:
		reason = "Another machine claims the UUID of this one, and a person has to decide: starting the registration agent"
	case facts.Server.Registered:
		reason = "This machine is registered and not allocated: starting the registration agent"
	}
	return Plan{
		Action:      BootEnvironment,
		Reason:      reason,
		Environment: "agent-" + string(request.Arch),
		Initrds:     agentInitrds(),
		Args:        agentArgs(facts.Agent, request.MAC),
	}
}

func newerIPXE(arch Arch) Plan {
	return Plan{Action: LoadNewerIPXE, Reason: "This iPXE is too old to start the kernel under UEFI: loading a newer one", BootFile: bootFile(arch)}
}

// bootFile is iPXE on the firmware's own network driver.
func bootFile(arch Arch) string {
	if arch == ARM64 {
		return "snp-arm64.efi"
	}
	return "snp.efi"
}
