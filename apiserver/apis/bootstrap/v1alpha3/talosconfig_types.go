package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrastructure "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TalosConfigFinalizer keeps a TalosConfig until its controller has let go of it. The name is upstream's.
const TalosConfigFinalizer = "talosconfig.bootstrap.cluster.x-k8s.io"

// GenerateType is the role of the node whose configuration is made.
type GenerateType string

// Roles. GenerateJoin is the older name of GenerateWorker.
const (
	// GenerateNone makes nothing: the configuration is given in data.
	GenerateNone         GenerateType = "none"
	GenerateInit         GenerateType = "init"
	GenerateControlPlane GenerateType = "controlplane"
	GenerateWorker       GenerateType = "worker"
	GenerateJoin         GenerateType = "join"
)

// HostnameSource is where a node's host name comes from.
type HostnameSource string

// Sources of host names.
const (
	HostnameFromMachine        HostnameSource = "MachineName"
	HostnameFromInfrastructure HostnameSource = "InfrastructureName"
)

// HostnameSpec tells where a node's host name comes from.
type HostnameSpec struct {
	// Source is MachineName or InfrastructureName. When it is absent Talos finds the host name itself.
	// +optional
	Source HostnameSource `json:"source,omitempty"`
}

// TalosConfigSpec tells how a node's machine configuration is made.
type TalosConfigSpec struct {
	// TalosVersion, such as v1.13, is the version of Talos that the configuration is made for. When it is absent it is made
	// for the newest known.
	// +optional
	TalosVersion string `json:"talosVersion,omitempty"`

	// GenerateType is the role of the node: controlplane, worker (or join), init, or none when data holds the configuration.
	GenerateType GenerateType `json:"generateType"`

	// Data is a whole machine configuration. It goes with generateType none only.
	// +optional
	Data string `json:"data,omitempty"`

	// ConfigPatches are JSON patch operations for the machine configuration.
	// +optional
	// +listType=atomic
	ConfigPatches []metal.ConfigPatch `json:"configPatches,omitempty"`

	// StrategicPatches are Talos strategic merge patches for the machine configuration.
	// +optional
	// +listType=atomic
	StrategicPatches []string `json:"strategicPatches,omitempty"`

	// Hostname tells where the node's host name comes from.
	// +optional
	Hostname HostnameSpec `json:"hostname,omitzero"`
}

// Initialization tells what Cluster API's contract v1beta2 waits for.
type Initialization struct {
	// DataSecretCreated is true when the Secret with the machine configuration is there. It never becomes false again.
	// +optional
	DataSecretCreated *bool `json:"dataSecretCreated,omitempty"`
}

// TalosConfigStatus is what is known about a node's machine configuration.
type TalosConfigStatus struct {
	// Ready tells whether the Secret with the machine configuration is there (contract v1beta1).
	// +optional
	Ready bool `json:"ready,omitempty"`

	// Initialization tells what Cluster API waits for (contract v1beta2).
	// +optional
	Initialization *Initialization `json:"initialization,omitempty"`

	// DataSecretName is the name of the Secret with the machine configuration.
	// +optional
	DataSecretName *string `json:"dataSecretName,omitempty"`

	// TalosConfig is a configuration for talosctl.
	// +optional
	TalosConfig string `json:"talosConfig,omitempty"`

	// FailureReason is one word about a problem that needs a person.
	// +optional
	FailureReason string `json:"failureReason,omitempty"`

	// FailureMessage tells a person about a problem that needs one.
	// +optional
	FailureMessage string `json:"failureMessage,omitempty"`

	// ObservedGeneration is the generation of the object that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions of the object.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions metal.Conditions `json:"conditions,omitempty"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosConfig is what the machine configuration of one Talos node is made from.
type TalosConfig struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec tells how the machine configuration is made. It cannot be changed.
	// +optional
	Spec TalosConfigSpec `json:"spec,omitempty"`

	// Status is what is known about the machine configuration.
	// +optional
	Status TalosConfigStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosConfigList is a list of TalosConfigs.
type TalosConfigList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the TalosConfigs.
	Items []TalosConfig `json:"items"`
}

// TalosConfigTemplateResource is what TalosConfigs are made from.
type TalosConfigTemplateResource struct {
	// Metadata of the TalosConfigs. Upstream has none.
	// +optional
	Metadata infrastructure.TemplateMeta `json:"metadata,omitzero"`

	// Spec of the TalosConfigs.
	// +optional
	Spec TalosConfigSpec `json:"spec,omitempty"`
}

// TalosConfigTemplateSpec holds a template. It cannot be changed: make another template and refer to that.
type TalosConfigTemplateSpec struct {
	// Template that TalosConfigs are made from.
	Template TalosConfigTemplateResource `json:"template"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosConfigTemplate is what Cluster API makes TalosConfigs from.
type TalosConfigTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template. It cannot be changed: make another template and refer to that.
	// +optional
	Spec TalosConfigTemplateSpec `json:"spec,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TalosConfigTemplateList is a list of TalosConfigTemplates.
type TalosConfigTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the TalosConfigTemplates.
	Items []TalosConfigTemplate `json:"items"`
}
