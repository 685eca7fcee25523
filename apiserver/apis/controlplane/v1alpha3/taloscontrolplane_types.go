package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	infrastructure "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TalosControlPlaneFinalizer keeps a TalosControlPlane until its machines are gone. The name is upstream's.
const TalosControlPlaneFinalizer = "talos.controlplane.cluster.x-k8s.io"

// RolloutStrategyType is how machines are replaced.
type RolloutStrategyType string

// Ways to replace machines.
const (
	// RollingUpdate replaces one machine after the other.
	RollingUpdate RolloutStrategyType = "RollingUpdate"
	// OnDelete replaces a machine when a person deletes it.
	OnDelete RolloutStrategyType = "OnDelete"
)

// RollingUpdateParameters tell how machines are replaced one after the other.
type RollingUpdateParameters struct {
	// MaxSurge is how many machines there may be more than wanted: 1, when absent, or 0.
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// RolloutStrategy tells how machines are replaced when something changes that they are made of.
type RolloutStrategy struct {
	// RollingUpdate holds parameters for the type RollingUpdate.
	// +optional
	RollingUpdate *RollingUpdateParameters `json:"rollingUpdate,omitempty"`

	// Type is RollingUpdate, when absent, or OnDelete.
	// +optional
	Type RolloutStrategyType `json:"type,omitempty"`
}

// Rollout tells when machines are replaced though nothing changed that they are made of.
type Rollout struct {
	// After is when: machines that are older than it are replaced once it is past.
	// +optional
	After *metav1.Time `json:"after,omitempty"`
}

// ControlPlaneConfig tells how the machine configurations are made.
type ControlPlaneConfig struct {
	// Init was for the first node of the control plane. It has no effect since Talos can be told to bootstrap.
	// +optional
	Init *bootstrap.TalosConfigSpec `json:"init,omitempty"`

	// ControlPlane is for all nodes of the control plane.
	ControlPlane bootstrap.TalosConfigSpec `json:"controlplane"`
}

// TalosControlPlaneSpec is what a person wants of a control plane.
type TalosControlPlaneSpec struct {
	// Replicas is the number of machines. 1 when absent; odd numbers make sense, for etcd's majority.
	// +optional
	Replicas *int64 `json:"replicas,omitempty"`

	// Version of Kubernetes, such as v1.34.0.
	Version string `json:"version"`

	// InfrastructureTemplate names the template of the machines' infrastructure. The same can be said by
	// machineTemplate.spec.infrastructureRef instead.
	// +optional
	InfrastructureTemplate corev1.ObjectReference `json:"infrastructureTemplate,omitzero"`

	// MachineTemplate tells what the machines are, in the words of Cluster API's contract v1beta2.
	// +optional
	MachineTemplate MachineTemplate `json:"machineTemplate,omitzero"`

	// MachineNamingStrategy tells how machines are named.
	// +optional
	MachineNamingStrategy *MachineNamingStrategy `json:"machineNamingStrategy,omitempty"`

	// ControlPlaneConfig tells how the machine configurations are made.
	ControlPlaneConfig ControlPlaneConfig `json:"controlPlaneConfig"`

	// RolloutStrategy tells how machines are replaced when something changes that they are made of.
	// +optional
	RolloutStrategy *RolloutStrategy `json:"rolloutStrategy,omitempty"`

	// Rollout tells when machines are replaced though nothing changed. A Cluster's topology sets it (contract v1beta2).
	// +optional
	Rollout Rollout `json:"rollout,omitzero"`
}

// VersionCount is how many machines there are of a version.
type VersionCount struct {
	// Version of Kubernetes.
	Version string `json:"version"`

	// Replicas is the number of machines of that version.
	// +optional
	Replicas int64 `json:"replicas,omitempty"`
}

// Initialization tells what Cluster API's contract v1beta2 waits for.
type Initialization struct {
	// ControlPlaneInitialized is true when the API of the cluster has answered once. It never becomes false again.
	// +optional
	ControlPlaneInitialized *bool `json:"controlPlaneInitialized,omitempty"`
}

// TalosControlPlaneStatus is what is known about a control plane.
type TalosControlPlaneStatus struct {
	// Selector of the labels of the control plane's machines, as text.
	// +optional
	Selector string `json:"selector,omitempty"`

	// Replicas is the number of machines.
	// +optional
	Replicas int64 `json:"replicas,omitempty"`

	// ReadyReplicas is the number of machines that are ready.
	// +optional
	ReadyReplicas int64 `json:"readyReplicas,omitempty"`

	// AvailableReplicas is the number of machines that are available (contract v1beta2).
	// +optional
	AvailableReplicas *int64 `json:"availableReplicas,omitempty"`

	// UpToDateReplicas is the number of machines that are made of what is wanted (contract v1beta2).
	// +optional
	UpToDateReplicas *int64 `json:"upToDateReplicas,omitempty"`

	// UnavailableReplicas is the number of machines that are missing or not ready (contract v1beta1).
	// +optional
	UnavailableReplicas int64 `json:"unavailableReplicas,omitempty"`

	// Version is the lowest version of Kubernetes among the machines.
	// +optional
	Version string `json:"version,omitempty"`

	// Versions are those of Kubernetes among the machines, the oldest first (contract v1beta2).
	// +optional
	// +listType=map
	// +listMapKey=version
	Versions []VersionCount `json:"versions,omitempty"`

	// Initialized tells whether the API of the cluster has answered once (contract v1beta1).
	// +optional
	Initialized bool `json:"initialized"`

	// Initialization tells what Cluster API waits for (contract v1beta2).
	// +optional
	Initialization *Initialization `json:"initialization,omitempty"`

	// Ready tells whether the API of the cluster answers.
	// +optional
	Ready bool `json:"ready"`

	// Bootstrapped tells whether a node was told to bootstrap, which happens once.
	// +optional
	Bootstrapped bool `json:"bootstrapped,omitempty"`

	// FailureReason is one word about a problem that needs a person.
	// +optional
	FailureReason *string `json:"failureReason,omitempty"`

	// FailureMessage tells a person about a problem that needs one.
	// +optional
	FailureMessage *string `json:"failureMessage,omitempty"`

	// ObservedGeneration is the generation of the object that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions of the control plane.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions metal.Conditions `json:"conditions,omitempty"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosControlPlane is the control plane of a cluster of Talos machines.
type TalosControlPlane struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what a person wants of the control plane.
	// +optional
	Spec TalosControlPlaneSpec `json:"spec,omitempty"`

	// Status is what is known about the control plane.
	// +optional
	Status TalosControlPlaneStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosControlPlaneList is a list of TalosControlPlanes.
type TalosControlPlaneList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the TalosControlPlanes.
	Items []TalosControlPlane `json:"items"`
}

// TalosControlPlaneTemplateResourceSpec is what the specs of TalosControlPlanes are made from. What a Cluster says itself
// is not in it: replicas, version and infrastructure.
type TalosControlPlaneTemplateResourceSpec struct {
	// MachineTemplate tells what the machines are.
	// +optional
	MachineTemplate MachineTemplate `json:"machineTemplate,omitzero"`

	// MachineNamingStrategy tells how machines are named.
	// +optional
	MachineNamingStrategy *MachineNamingStrategy `json:"machineNamingStrategy,omitempty"`

	// ControlPlaneConfig tells how the machine configurations are made.
	ControlPlaneConfig ControlPlaneConfig `json:"controlPlaneConfig"`

	// RolloutStrategy tells how machines are replaced when something changes that they are made of.
	// +optional
	RolloutStrategy *RolloutStrategy `json:"rolloutStrategy,omitempty"`
}

// TalosControlPlaneTemplateResource is what TalosControlPlanes are made from.
type TalosControlPlaneTemplateResource struct {
	// Metadata of the control planes.
	// +optional
	Metadata infrastructure.TemplateMeta `json:"metadata,omitzero"`

	// Spec of the control planes.
	Spec TalosControlPlaneTemplateResourceSpec `json:"spec"`
}

// TalosControlPlaneTemplateSpec holds a template. It cannot be changed: make another template and refer to that.
type TalosControlPlaneTemplateSpec struct {
	// Template that TalosControlPlanes are made from.
	Template TalosControlPlaneTemplateResource `json:"template"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosControlPlaneTemplate is what Cluster API makes TalosControlPlanes from when a Cluster has a ClusterClass.
type TalosControlPlaneTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template. It cannot be changed: make another template and refer to that.
	// +optional
	Spec TalosControlPlaneTemplateSpec `json:"spec,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosControlPlaneTemplateList is a list of TalosControlPlaneTemplates.
type TalosControlPlaneTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the TalosControlPlaneTemplates.
	Items []TalosControlPlaneTemplate `json:"items"`
}
