package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MetalMachineSpec is what a person wants of a machine.
type MetalMachineSpec struct {
	// ProviderID is sidero:// and the server's name. It is written by the controller.
	// +optional
	ProviderID *string `json:"providerID,omitempty"`

	// ServerRef names the server that the machine is.
	// +optional
	ServerRef *corev1.ObjectReference `json:"serverRef,omitempty"`
}

// MetalMachineStatus is what is known about a machine.
type MetalMachineStatus struct {
	// Ready tells whether a server is bound to the machine.
	// +optional
	Ready bool `json:"ready"`

	// ErrorReason is one word about a problem that needs a person. v1alpha3 calls it failureReason.
	// +optional
	ErrorReason *string `json:"errorReason,omitempty"`

	// ErrorMessage tells a person about a problem that needs one. v1alpha3 calls it failureMessage.
	// +optional
	ErrorMessage *string `json:"errorMessage,omitempty"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalMachine is a machine of a cluster.
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

// MetalMachineTemplateResource is what MetalMachines are made from.
type MetalMachineTemplateResource struct {
	// Spec of the machines.
	Spec MetalMachineSpec `json:"spec"`
}

// MetalMachineTemplateSpec holds a template. It cannot be changed: make another template and refer to that.
type MetalMachineTemplateSpec struct {
	// Template that MetalMachines are made from.
	Template MetalMachineTemplateResource `json:"template"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalMachineTemplate is what Cluster API makes MetalMachines from.
type MetalMachineTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template. It cannot be changed: make another template and refer to that.
	// +optional
	Spec MetalMachineTemplateSpec `json:"spec,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalMachineTemplateList is a list of MetalMachineTemplates.
type MetalMachineTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the MetalMachineTemplates.
	Items []MetalMachineTemplate `json:"items"`
}
