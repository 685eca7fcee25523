package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// RemediationType is a way to bring a machine back to health.
type RemediationType string

// RemediationPowerCycle switches the server off and on again, and gives the machine up when that does not help.
const RemediationPowerCycle RemediationType = "PowerCycle"

// RemediationStrategy tells how a machine is brought back to health.
type RemediationStrategy struct {
	// Type of remediation: PowerCycle, which is also meant when it is absent.
	// +optional
	Type RemediationType `json:"type,omitempty"`

	// RetryLimit is how often it is tried before the machine is replaced. 1 when absent.
	// +optional
	RetryLimit *int64 `json:"retryLimit,omitempty"`

	// Timeout is how long the machine may take to become healthy after each try. Five minutes when absent.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// MetalRemediationSpec tells how a machine is brought back to health.
type MetalRemediationSpec struct {
	// Strategy of the remediation.
	// +optional
	Strategy RemediationStrategy `json:"strategy,omitzero"`
}

// MetalRemediationStatus is what has been done for a machine.
type MetalRemediationStatus struct {
	// Phase of the remediation: Running, Waiting, Succeeded or Failed. For display only.
	// +optional
	Phase string `json:"phase,omitempty"`

	// RetryCount is how often it has been tried.
	// +optional
	RetryCount int64 `json:"retryCount,omitempty"`

	// LastRemediated is when it was tried last.
	// +optional
	LastRemediated *metav1.Time `json:"lastRemediated,omitempty"`

	// Conditions of the object.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions metal.Conditions `json:"conditions,omitempty"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalRemediation asks for one unhealthy machine to be brought back to health. A MachineHealthCheck makes it from a template, with the
// machine's name. Upstream has none.
type MetalRemediation struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec tells how the machine is brought back to health.
	// +optional
	Spec MetalRemediationSpec `json:"spec,omitempty"`

	// Status is what has been done for the machine.
	// +optional
	Status MetalRemediationStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalRemediationList is a list of MetalRemediations.
type MetalRemediationList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the MetalRemediations.
	Items []MetalRemediation `json:"items"`
}

// MetalRemediationTemplateResource is what MetalRemediations are made from.
type MetalRemediationTemplateResource struct {
	// Metadata of the remediations.
	// +optional
	Metadata TemplateMeta `json:"metadata,omitzero"`

	// Spec of the remediations.
	Spec MetalRemediationSpec `json:"spec"`
}

// MetalRemediationTemplateSpec holds a template.
type MetalRemediationTemplateSpec struct {
	// Template that MetalRemediations are made from.
	Template MetalRemediationTemplateResource `json:"template"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalRemediationTemplate is what a MachineHealthCheck makes MetalRemediations from. Upstream has none.
type MetalRemediationTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template.
	// +optional
	Spec MetalRemediationTemplateSpec `json:"spec,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalRemediationTemplateList is a list of MetalRemediationTemplates.
type MetalRemediationTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the MetalRemediationTemplates.
	Items []MetalRemediationTemplate `json:"items"`
}
