package machineapi

import "github.com/siderolabs/talos/pkg/machinery/api/machine"

// running is the state of a service that runs.
const running = "Running"

// Service is one of a node's, in Talos's words. What does not run has no health.
func Service(id, state string, healthy bool) *machine.ServiceInfo {
	return &machine.ServiceInfo{
		Id: id, State: state, Events: &machine.ServiceEvents{},
		Health: &machine.ServiceHealth{Unknown: state != running, Healthy: state == running && healthy},
	}
}
