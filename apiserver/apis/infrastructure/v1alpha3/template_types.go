package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TemplateMeta are labels and annotations for what is made from a template.
type TemplateMeta struct {
	// Labels for what is made from the template.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations for what is made from the template.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// MetalMachineTemplateResource is what MetalMachines are made from.
type MetalMachineTemplateResource struct {
	// Metadata of the machines. Upstream has none.
	// +optional
	Metadata TemplateMeta `json:"metadata,omitzero"`

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

// MetalClusterTemplateResource is what MetalClusters are made from.
type MetalClusterTemplateResource struct {
	// Metadata of the clusters.
	// +optional
	Metadata TemplateMeta `json:"metadata,omitzero"`

	// Spec of the clusters.
	Spec MetalClusterSpec `json:"spec"`
}

// MetalClusterTemplateSpec holds a template. It cannot be changed: make another template and refer to that.
type MetalClusterTemplateSpec struct {
	// Template that MetalClusters are made from.
	Template MetalClusterTemplateResource `json:"template"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalClusterTemplate is what Cluster API makes MetalClusters from when a Cluster has a ClusterClass. Upstream has none.
type MetalClusterTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template. It cannot be changed: make another template and refer to that.
	// +optional
	Spec MetalClusterTemplateSpec `json:"spec,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalClusterTemplateList is a list of MetalClusterTemplates.
type MetalClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the MetalClusterTemplates.
	Items []MetalClusterTemplate `json:"items"`
}
