package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// MetalMachineFinalizer keeps a MetalMachine until its server is released. The name is upstream's.
const MetalMachineFinalizer = "metalmachine.infrastructure.cluster.x-k8s.io"

// Conditions of a MetalMachine.
const (
	// ConditionProviderSet tells whether the node of the machine carries its provider ID.
	ConditionProviderSet metal.ConditionType = "ProviderSet"
)

// MetalMachineSpec is what a person wants of a machine.
type MetalMachineSpec struct {
	// ProviderID is sidero:// and the server's name. It is written by the controller.
	// +optional
	ProviderID *string `json:"providerID,omitempty"`

	// ServerRef names the server that the machine is: chosen by a person, or by the controller from the class.
	// +optional
	ServerRef *corev1.ObjectReference `json:"serverRef,omitempty"`

	// ServerClassRef names the class that a server is taken from. Its namespace is ignored.
	// +optional
	ServerClassRef *corev1.ObjectReference `json:"serverClassRef,omitempty"`
}

// MachineAddressType is the kind of an address, as Cluster API knows them.
type MachineAddressType string

// Kinds of addresses.
const (
	AddressHostname    MachineAddressType = "Hostname"
	AddressExternalIP  MachineAddressType = "ExternalIP"
	AddressInternalIP  MachineAddressType = "InternalIP"
	AddressExternalDNS MachineAddressType = "ExternalDNS"
	AddressInternalDNS MachineAddressType = "InternalDNS"
)

// MachineAddress is one address of a machine.
type MachineAddress struct {
	// Type of the address: Hostname, ExternalIP, InternalIP, ExternalDNS or InternalDNS.
	Type MachineAddressType `json:"type"`

	// Address of the machine.
	Address string `json:"address"`
}

// MetalMachineStatus is what is known about a machine.
type MetalMachineStatus struct {
	// Ready tells whether a server is bound to the machine (contract v1beta1).
	// +optional
	Ready bool `json:"ready,omitempty"`

	// Initialization tells what Cluster API waits for (contract v1beta2).
	// +optional
	Initialization *Initialization `json:"initialization,omitempty"`

	// Addresses of the machine.
	// +optional
	// +listType=atomic
	Addresses []MachineAddress `json:"addresses,omitempty"`

	// FailureDomain that the server is in (contract v1beta2).
	// +optional
	FailureDomain string `json:"failureDomain,omitempty"`

	// FailureReason is one word about a problem that needs a person.
	// +optional
	FailureReason *string `json:"failureReason,omitempty"`

	// FailureMessage tells a person about a problem that needs one.
	// +optional
	FailureMessage *string `json:"failureMessage,omitempty"`

	// Conditions of the object.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions metal.Conditions `json:"conditions,omitempty"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalMachine is a machine of a cluster, for which a server is taken from a class.
type MetalMachine struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what a person wants of the machine.
	// +optional
	Spec MetalMachineSpec `json:"spec,omitempty"`

	// Status is what is known about the machine.
	// +optional
	Status MetalMachineStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalMachineList is a list of MetalMachines.
type MetalMachineList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the MetalMachines.
	Items []MetalMachine `json:"items"`
}
