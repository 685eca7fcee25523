package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// APIEndpoint is where a cluster's API is reached.
type APIEndpoint struct {
	// Host name or address.
	Host string `json:"host"`

	// Port of the API.
	Port int64 `json:"port"`
}

// MetalClusterSpec is what a person wants of a cluster's infrastructure.
type MetalClusterSpec struct {
	// APIEndpoints are where the cluster's API is reached. v1alpha3 has only the first.
	// +optional
	// +listType=atomic
	APIEndpoints []APIEndpoint `json:"apiEndpoints,omitempty"`
}

// MetalClusterStatus is what is known about a cluster's infrastructure.
type MetalClusterStatus struct {
	// Ready tells whether the infrastructure is there.
	// +optional
	Ready bool `json:"ready"`

	// APIEndpoints are where the cluster's API is reached.
	// +optional
	// +listType=atomic
	APIEndpoints []APIEndpoint `json:"apiEndpoints,omitempty"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalCluster is a cluster's infrastructure: where its API is reached.
type MetalCluster struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what a person wants of the cluster's infrastructure.
	// +optional
	Spec MetalClusterSpec `json:"spec,omitempty"`

	// Status is what is known about the cluster's infrastructure.
	// +optional
	Status MetalClusterStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalClusterList is a list of MetalClusters.
type MetalClusterList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the MetalClusters.
	Items []MetalCluster `json:"items"`
}
