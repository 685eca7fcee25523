package metalmachine

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// tell sets what is known of the machine's server, which is what sums up the machine too.
func tell(status *v1alpha3.MetalMachineStatus, condition metal.Condition) {
	status.Conditions = contract.Conditions(status.Conditions, condition)
	condition.Type = v1alpha3.ConditionReady
	status.Conditions = contract.Conditions(status.Conditions, condition)
}

// bound writes that the machine has its server: that is as ready as upstream's are, whether it has booted yet or not.
// endpoint is the address of the cluster's API.
func bound(status *v1alpha3.MetalMachineStatus, binding *v1alpha3.ServerBinding, server *metal.Server, endpoint string) {
	status.Ready, status.Initialization = true, &v1alpha3.Initialization{Provisioned: ptr.To(true)}
	status.FailureDomain = server.Labels[allocation.FailureDomainLabel]
	status.Addresses = addresses(binding, server, endpoint)

	for _, condition := range binding.Status.Conditions {
		if condition.Type != v1alpha3.ConditionReady {
			status.Conditions = status.Conditions.With(condition)
		}
	}

	tell(status, metal.Condition{Type: v1alpha3.ConditionServerBound, Status: corev1.ConditionTrue})
}

// addresses are what the node said, in upstream's order, and until it has said anything those of its server. That of the cluster's API comes
// last: it may be a virtual one, which goes to another node when this one is off, and nodes are looked for at the first.
func addresses(binding *v1alpha3.ServerBinding, server *metal.Server, endpoint string) []v1alpha3.MachineAddress {
	var all, last []v1alpha3.MachineAddress

	for _, address := range binding.Spec.Addresses {
		one := v1alpha3.MachineAddress{Type: v1alpha3.AddressInternalIP, Address: address}
		if address == endpoint {
			last = append(last, one)
		} else {
			all = append(all, one)
		}
	}

	all = append(all, last...)

	if len(all) == 0 {
		for _, address := range server.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				all = append(all, v1alpha3.MachineAddress{Type: v1alpha3.AddressInternalIP, Address: address.Address})
			}
		}
	}

	if binding.Spec.Hostname != "" {
		all = append(all, v1alpha3.MachineAddress{Type: v1alpha3.AddressHostname, Address: binding.Spec.Hostname})
	}

	return all
}
