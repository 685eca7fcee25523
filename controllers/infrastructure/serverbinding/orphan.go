package serverbinding

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// orphan tells whether the machine that a binding was made for is gone, and has not given its server back: somebody took its
// finalizer away. machine is the one of the name that the binding tells, nil when there is none. Bindings that people make
// need no machine.
func orphan(binding *v1alpha3.ServerBinding, machine *v1alpha3.MetalMachine) bool {
	if binding.Spec.MetalMachineRef.Name == "" || !binding.DeletionTimestamp.IsZero() {
		return false
	}

	return machine == nil || !binding.IsOf(machine)
}
