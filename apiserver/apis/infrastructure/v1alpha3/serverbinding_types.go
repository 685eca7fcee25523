package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Conditions of a ServerBinding, which its MetalMachine shows too. All come from the events that Talos sends.
const (
	ConditionTalosConfigLoaded    metal.ConditionType = "TalosConfigLoaded"
	ConditionTalosConfigValidated metal.ConditionType = "TalosConfigValidated"
	ConditionTalosInstalled       metal.ConditionType = "TalosInstalled"
)

// SideroLink is the machine's end of the tunnel to the appliance.
type SideroLink struct {
	// NodeAddress is the machine's address in the tunnel, with the prefix length.
	NodeAddress string `json:"address"`

	// NodePublicKey is the machine's WireGuard key in base64.
	NodePublicKey string `json:"publicKey"`
}

// ServerBindingSpec tells whom a server is allocated to, and what its machine said of itself.
type ServerBindingSpec struct {
	// MetalMachineRef names the machine that the server is allocated to.
	MetalMachineRef corev1.ObjectReference `json:"metalMachineRef"`

	// ServerClassRef names the class that the server was taken from.
	// +optional
	ServerClassRef *corev1.ObjectReference `json:"serverClassRef,omitempty"`

	// SideroLink is the machine's end of the tunnel to the appliance.
	// +optional
	SideroLink SideroLink `json:"siderolink,omitempty"`

	// Addresses of the machine, without prefix length.
	// +optional
	// +listType=atomic
	Addresses []string `json:"addresses,omitempty"`

	// Hostname of the machine.
	// +optional
	Hostname string `json:"hostname,omitempty"`
}

// ServerBindingStatus is what is known about an allocation.
type ServerBindingStatus struct {
	// Ready tells whether there is a server of the binding's name.
	// +optional
	Ready bool `json:"ready,omitempty"`

	// Conditions of the object.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions metal.Conditions `json:"conditions,omitempty"`

	// ConfigurationLoadedAt is when the machine last reported that it has loaded its configuration, by the appliance's clock. That
	// ends a boot window that was opened before. Only the event sink writes it.
	// +optional
	ConfigurationLoadedAt *metav1.MicroTime `json:"configurationLoadedAt,omitempty"`

	// BootWindow is when the machine may fetch its configuration.
	// +optional
	BootWindow *BootWindow `json:"bootWindow,omitempty"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServerBinding is the lock on a server and the record of its allocation. It has the server's name.
type ServerBinding struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec tells whom the server is allocated to.
	// +optional
	Spec ServerBindingSpec `json:"spec,omitempty"`

	// Status is what is known about the allocation.
	// +optional
	Status ServerBindingStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServerBindingList is a list of ServerBindings.
type ServerBindingList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the ServerBindings.
	Items []ServerBinding `json:"items"`
}
