package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"

	infrastructure "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// ContractReference names an object of a provider. Its version is the one that keeps Cluster API's contract.
type ContractReference struct {
	// APIGroup of the object.
	APIGroup string `json:"apiGroup"`

	// Kind of the object.
	Kind string `json:"kind"`

	// Name of the object, in the same namespace.
	Name string `json:"name"`
}

// MachineDeletion tells how long each step of a machine's deletion may take. 0 is for ever.
type MachineDeletion struct {
	// NodeDrainTimeoutSeconds is how long draining the node may take.
	// +optional
	NodeDrainTimeoutSeconds *int64 `json:"nodeDrainTimeoutSeconds,omitempty"`

	// NodeVolumeDetachTimeoutSeconds is how long detaching the node's volumes may take.
	// +optional
	NodeVolumeDetachTimeoutSeconds *int64 `json:"nodeVolumeDetachTimeoutSeconds,omitempty"`

	// NodeDeletionTimeoutSeconds is how long deleting the node may be tried.
	// +optional
	NodeDeletionTimeoutSeconds *int64 `json:"nodeDeletionTimeoutSeconds,omitempty"`
}

// ReadinessGate is a further condition that a machine needs to be ready.
type ReadinessGate struct {
	// ConditionType of the Machine's condition.
	ConditionType string `json:"conditionType"`

	// Polarity is Positive, when absent, or Negative: a condition that must be False.
	// +optional
	Polarity string `json:"polarity,omitempty"`
}

// MachineTaint is a taint that Cluster API keeps on a machine's node.
type MachineTaint struct {
	// Key of the taint.
	Key string `json:"key"`

	// Value of the taint.
	// +optional
	Value string `json:"value,omitempty"`

	// Effect of the taint.
	Effect corev1.TaintEffect `json:"effect"`

	// Propagation is Always or OnInitialization.
	// +optional
	Propagation string `json:"propagation,omitempty"`
}

// MachineTemplateSpec tells what the machines of a control plane are.
type MachineTemplateSpec struct {
	// InfrastructureRef names the template of the machines' infrastructure.
	// +optional
	InfrastructureRef *ContractReference `json:"infrastructureRef,omitempty"`

	// ReadinessGates are further conditions that a machine needs to be ready.
	// +optional
	// +listType=map
	// +listMapKey=conditionType
	ReadinessGates []ReadinessGate `json:"readinessGates,omitempty"`

	// Deletion tells how long each step of a machine's deletion may take.
	// +optional
	Deletion MachineDeletion `json:"deletion,omitzero"`

	// Taints that Cluster API keeps on the nodes.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	Taints []MachineTaint `json:"taints,omitempty"`
}

// MachineTemplate tells what the machines of a control plane are, in the words of Cluster API's contract v1beta2.
type MachineTemplate struct {
	// Metadata of the machines.
	// +optional
	Metadata infrastructure.TemplateMeta `json:"metadata,omitzero"`

	// Spec of the machines.
	// +optional
	Spec MachineTemplateSpec `json:"spec,omitzero"`
}
