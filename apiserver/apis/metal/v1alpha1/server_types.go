package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// SystemInformation is what the firmware says of the machine as a whole. v1alpha2 keeps it in spec.hardware.system.
type SystemInformation struct {
	// Manufacturer of the machine.
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// ProductName of the machine.
	// +optional
	ProductName string `json:"productName,omitempty"`
	// Version of the machine.
	// +optional
	Version string `json:"version,omitempty"`
	// SerialNumber of the machine.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`
	// SKUNumber of the machine.
	// +optional
	SKUNumber string `json:"skuNumber,omitempty"`
	// Family the machine belongs to.
	// +optional
	Family string `json:"family,omitempty"`
}

// CPUInformation is the machine's first processor. v1alpha2 keeps it in spec.hardware.compute.processors.
type CPUInformation struct {
	// Manufacturer of the processor.
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Version of the processor, which v1alpha2 calls productName.
	// +optional
	Version string `json:"version,omitempty"`
}

// ServerSpec is what a person wants of a Server, and what the machine said of its hardware.
type ServerSpec struct {
	// EnvironmentRef names the Environment that the server boots when it is allocated. Only its name is used.
	// +optional
	EnvironmentRef *corev1.ObjectReference `json:"environmentRef,omitempty"`

	// SystemInformation is what the firmware says of the machine as a whole.
	// +optional
	SystemInformation *SystemInformation `json:"system,omitempty"`

	// CPU is the machine's first processor.
	// +optional
	CPU *CPUInformation `json:"cpu,omitempty"`

	// Hostname of the machine when it registered. For display only.
	// +optional
	Hostname string `json:"hostname,omitempty"`

	// BMC is the machine's baseboard management controller.
	// +optional
	BMC *v1alpha2.BMC `json:"bmc,omitempty"`

	// ManagementAPI is a power interface over HTTP. It is used only when there is no BMC.
	// +optional
	ManagementAPI *v1alpha2.ManagementAPI `json:"managementApi,omitempty"`

	// ConfigPatches are JSON patch operations for the server's machine configuration.
	// +optional
	// +listType=atomic
	ConfigPatches []v1alpha2.ConfigPatch `json:"configPatches,omitempty"`

	// Accepted is the licence to manage the server: to switch its power and to write to its disks.
	Accepted bool `json:"accepted"`

	// Cordoned removes the server from every ServerClass. It is still managed.
	// +optional
	Cordoned bool `json:"cordoned,omitempty"`

	// PXEBootAlways boots an allocated server from the network even after the installation.
	// +optional
	PXEBootAlways bool `json:"pxeBootAlways,omitempty"`

	// BootFromDiskMethod is the way the server is told to boot from its disk: ipxe-exit, http-404 or ipxe-sanboot.
	// +optional
	BootFromDiskMethod v1alpha2.BootFromDisk `json:"bootFromDiskMethod,omitempty"`

	// PXEMode is the firmware that the BMC is asked to start from the network with: bios or uefi.
	// +optional
	PXEMode v1alpha2.PXEMode `json:"pxeMode,omitempty"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Server is one physical machine. Its name is the machine's SMBIOS UUID in lower case.
type Server struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what a person wants of the server, and what the machine said of its hardware.
	// +optional
	Spec ServerSpec `json:"spec,omitempty"`

	// Status is what is known about the server.
	// +optional
	Status v1alpha2.ServerStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServerList is a list of Servers.
type ServerList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the Servers.
	Items []Server `json:"items"`
}
