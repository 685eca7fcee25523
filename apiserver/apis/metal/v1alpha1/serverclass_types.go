package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Qualifiers choose servers by what they are. A server qualifies when it matches one entry of each list that has any.
type Qualifiers struct {
	// CPU filters by the first processor.
	// +optional
	// +listType=atomic
	CPU []CPUInformation `json:"cpu,omitempty"`

	// SystemInformation filters by what the firmware says of the machine as a whole.
	// +optional
	// +listType=atomic
	SystemInformation []SystemInformation `json:"systemInformation,omitempty"`

	// LabelSelectors filter by labels: a server qualifies when it carries any one of them.
	// +optional
	// +listType=atomic
	LabelSelectors []map[string]string `json:"labelSelectors,omitempty"`
}

// ServerClassSpec tells which servers belong to a class and what they get when they are allocated through it.
type ServerClassSpec struct {
	// EnvironmentRef names the Environment that servers of the class boot. Only its name is used.
	// +optional
	EnvironmentRef *corev1.ObjectReference `json:"environmentRef,omitempty"`

	// Qualifiers choose servers by what they are.
	// +optional
	Qualifiers Qualifiers `json:"qualifiers"`

	// Selector chooses servers by their labels. An empty one chooses all.
	// +optional
	Selector metav1.LabelSelector `json:"selector"`

	// ConfigPatches are JSON patch operations for the machine configuration of servers allocated through the class.
	// +optional
	// +listType=atomic
	ConfigPatches []v1alpha2.ConfigPatch `json:"configPatches,omitempty"`

	// BootFromDiskMethod is the way servers of the class are told to boot from disk: ipxe-exit, http-404 or ipxe-sanboot.
	// +optional
	BootFromDiskMethod v1alpha2.BootFromDisk `json:"bootFromDiskMethod,omitempty"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServerClass is a set of servers, chosen by hardware and labels, that machines are allocated from.
type ServerClass struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec tells which servers belong to the class and what they get when they are allocated through it.
	// +optional
	Spec ServerClassSpec `json:"spec,omitempty"`

	// Status lists the servers of the class.
	// +optional
	Status v1alpha2.ServerClassStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServerClassList is a list of ServerClasses.
type ServerClassList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the ServerClasses.
	Items []ServerClass `json:"items"`
}
