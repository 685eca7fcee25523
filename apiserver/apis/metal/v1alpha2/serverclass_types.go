package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServerClassAny is the name of the ServerClass that every accepted server belongs to.
const ServerClassAny = "any"

// Qualifiers choose servers by what they are.
type Qualifiers struct {
	// Hardware filters: a server qualifies when it matches one of them.
	// +optional
	// +listType=atomic
	Hardware []HardwareInformation `json:"hardware,omitempty"`

	// LabelSelectors is upstream's older form of selector: a server qualifies when it carries any one of these labels.
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
	ConfigPatches []ConfigPatch `json:"configPatches,omitempty"`

	// StrategicPatches are Talos strategic merge patches for servers allocated through the class.
	// +optional
	// +listType=atomic
	StrategicPatches []string `json:"strategicPatches,omitempty"`

	// BootFromDiskMethod is the way servers of the class are told to boot from disk: ipxe-exit, http-404 or ipxe-sanboot.
	// +optional
	BootFromDiskMethod BootFromDisk `json:"bootFromDiskMethod,omitempty"`

	// Expression is of the Common Expression Language (CEL) over the Server as the variable server: a server qualifies when it
	// is true, and what else the class asks for is too.
	// +optional
	Expression string `json:"expression,omitempty"`

	// Minimum and Maximum bound what a machine has.
	// +optional
	Minimum *HardwareBounds `json:"minimum,omitempty"`
	// +optional
	Maximum *HardwareBounds `json:"maximum,omitempty"`

	// Accept has the servers that the class asks for accepted, each once, when it is new. Accepting is the licence to wipe a
	// machine: off unless it is said.
	// +optional
	Accept bool `json:"accept,omitempty"`

	// Wipe tells what is wiped of the disks of machines that were taken from the class last, and of those that fit the class
	// and were never in use, unless the Server says so itself.
	// +optional
	Wipe *WipePolicy `json:"wipe,omitempty"`
}

// HardwareBounds are numbers to compare a machine's with. What is absent bounds nothing.
type HardwareBounds struct {
	// Cores of all processors.
	// +optional
	Cores *int64 `json:"cores,omitempty"`

	// Memory of the machine, such as 32Gi.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`

	// Disks that are not removable.
	// +optional
	Disks *int64 `json:"disks,omitempty"`

	// DiskSize of the largest disk, such as 500Gi.
	// +optional
	DiskSize *resource.Quantity `json:"diskSize,omitempty"`

	// NICSpeed is what the fastest network adapter supports, in bits per second, such as 10G.
	// +optional
	NICSpeed *resource.Quantity `json:"nicSpeed,omitempty"`
}

// ServerClassStatus lists the servers of a class.
type ServerClassStatus struct {
	// ServersAvailable are the names of the servers of the class that are not allocated, sorted.
	// +listType=atomic
	ServersAvailable []string `json:"serversAvailable"`

	// ServersInUse are the names of the servers of the class that are allocated, sorted.
	// +listType=atomic
	ServersInUse []string `json:"serversInUse"`
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
	Status ServerClassStatus `json:"status,omitempty"`
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
