package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// MetalClusterFinalizer keeps a MetalCluster until its controller has let go of it. The name is upstream's.
const MetalClusterFinalizer = "metalcluster.infrastructure.cluster.x-k8s.io"

// APIEndpoint is where a cluster's API is reached.
type APIEndpoint struct {
	// Host name or address.
	Host string `json:"host"`

	// Port of the API.
	Port int64 `json:"port"`
}

// MetalClusterSpec is what a person wants of a cluster's infrastructure.
type MetalClusterSpec struct {
	// ControlPlaneEndpoint is where the cluster's API is reached. Nothing here makes it reachable: a load balancer, DNS or a
	// virtual IP of Talos does.
	// +optional
	ControlPlaneEndpoint *APIEndpoint `json:"controlPlaneEndpoint,omitempty"`
}

// Initialization tells what Cluster API's contract v1beta2 waits for.
type Initialization struct {
	// Provisioned is true when the infrastructure is there. It never becomes false again.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// FailureDomain is a part of the infrastructure that fails together, such as a rack.
type FailureDomain struct {
	// Name of the domain.
	Name string `json:"name"`

	// ControlPlane tells whether control plane machines may be in it.
	// +optional
	ControlPlane *bool `json:"controlPlane,omitempty"`

	// Attributes tell more about the domain.
	// +optional
	Attributes map[string]string `json:"attributes,omitempty"`
}

// MetalClusterStatus is what is known about a cluster's infrastructure.
type MetalClusterStatus struct {
	// Ready tells whether the infrastructure is there (contract v1beta1).
	// +optional
	Ready bool `json:"ready"`

	// Initialization tells what Cluster API waits for (contract v1beta2).
	// +optional
	Initialization *Initialization `json:"initialization,omitempty"`

	// FailureDomains that machines of the cluster can be spread over (contract v1beta2).
	// +optional
	// +listType=map
	// +listMapKey=name
	FailureDomains []FailureDomain `json:"failureDomains,omitempty"`

	// Conditions of the object.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions metal.Conditions `json:"conditions,omitempty"`
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
