package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PowerRequestAnnotation is how a person asks for a server's power, once: on, off or cycle. The controller removes it before
// it does so.
const PowerRequestAnnotation = "metal.sidero.dev/power"

// WipeRequestAnnotation is how a person asks, with any value, that a clean server which is not in use is wiped again. The
// controller removes it when it has taken it up.
const WipeRequestAnnotation = "metal.sidero.dev/wipe"

// BootWindowAnnotation is how a person lets a server's machine fetch its configuration again: a new value, whatever it is, opens a boot
// window once. It stays; see BootWindow in infrastructure.cluster.x-k8s.io.
const BootWindowAnnotation = "metal.sidero.dev/boot-window"

// NodeLabel names the server that a Node of a cluster runs on. The machine configuration has it, as with Sidero.
const NodeLabel = "metal.sidero.dev/uuid"

// ServerFinalizer keeps a Server until it is no longer allocated. The name is upstream's.
const ServerFinalizer = "storage.finalizers.server.k8s.io"

// BootFromDisk is the way a machine is told to leave the network boot and start from its disk.
type BootFromDisk string

// Ways to boot from disk.
const (
	BootIPXEExit BootFromDisk = "ipxe-exit"
	Boot404      BootFromDisk = "http-404"
	BootSANDisk  BootFromDisk = "ipxe-sanboot"
)

// PXEMode is the firmware that a BMC is asked to start from the network with.
type PXEMode string

// Firmware modes.
const (
	PXEModeBIOS PXEMode = "bios"
	PXEModeUEFI PXEMode = "uefi"
)

// Conditions of a Server.
const (
	// ConditionPowerCycle is False while a power cycle for a wipe is under way.
	ConditionPowerCycle ConditionType = "PowerCycle"
	// ReasonInProgress is why it is False then, as with Sidero.
	ReasonInProgress = "InProgress"
	// ConditionPXEBooted is True once an operating system is installed on an allocated server.
	ConditionPXEBooted ConditionType = "PXEBooted"
	// ConditionPowerControl is False while the machine's power cannot be controlled, with the reason: its BMC does not answer,
	// its password is missing, or a person has to do it.
	ConditionPowerControl ConditionType = "PowerControl"
	// ConditionPowerRequested tells what became of what somebody has asked for last, by PowerRequestAnnotation: True when it was
	// done, False when it failed or was refused, and Unknown before.
	ConditionPowerRequested ConditionType = "PowerRequested"
	// ConditionDuplicateIdentity is True on servers whose UUID several machines claim, until a person decides which machine is
	// which, and False once one has, by IdentityAnnotation.
	ConditionDuplicateIdentity ConditionType = "DuplicateIdentity"
)

// PowerState values of Server.status.power.
const (
	PowerOn      = "on"
	PowerOff     = "off"
	PowerUnknown = "unknown"
)

// SecretKeyRef names one key of a Secret.
type SecretKeyRef struct {
	// Namespace of the Secret.
	Namespace string `json:"namespace"`
	// Name of the Secret.
	Name string `json:"name"`
	// Key in the Secret.
	Key string `json:"key"`
}

// CredentialSource tells where a credential is kept.
type CredentialSource struct {
	// SecretKeyRef names the Secret and the key that hold the credential.
	// +optional
	SecretKeyRef *SecretKeyRef `json:"secretKeyRef,omitempty"`
}

// BMC is the baseboard management controller of a machine and how to log in to it.
type BMC struct {
	// Endpoint is the host name or address of the BMC.
	Endpoint string `json:"endpoint"`
	// Port of the BMC, 623 when absent.
	// +optional
	Port int64 `json:"port,omitempty"`
	// User to log in as. It wins over userFrom.
	// +optional
	User string `json:"user,omitempty"`
	// UserFrom tells where the user name is kept.
	// +optional
	UserFrom *CredentialSource `json:"userFrom,omitempty"`
	// Pass is the password. It wins over passFrom.
	// +optional
	Pass string `json:"pass,omitempty"`
	// PassFrom tells where the password is kept.
	// +optional
	PassFrom *CredentialSource `json:"passFrom,omitempty"`
	// Interface is the IPMI interface: lan, lanplus or open. lanplus when absent.
	// +optional
	Interface string `json:"interface,omitempty"`
}

// ManagementAPI is a power interface over HTTP, for virtual machines and others without a BMC.
type ManagementAPI struct {
	// Endpoint is host:port of the power interface.
	Endpoint string `json:"endpoint"`
}

// ConfigPatch is one operation of a JSON patch (RFC 6902) for a machine configuration.
type ConfigPatch struct {
	// Op is the operation: add, copy, move, remove, replace or test.
	Op string `json:"op"`
	// Path is the JSON pointer (RFC 6901) that the operation applies to.
	Path string `json:"path"`
	// Value for the operation.
	// +optional
	Value apiextensionsv1.JSON `json:"value,omitzero"`
}

// ServerSpec is what a person wants of a Server, and what the machine said of its hardware.
type ServerSpec struct {
	// EnvironmentRef names the Environment that the server boots when it is allocated. Only its name is used.
	// +optional
	EnvironmentRef *corev1.ObjectReference `json:"environmentRef,omitempty"`

	// Hardware is what the machine said of itself when it registered.
	// +optional
	Hardware *HardwareInformation `json:"hardware,omitempty"`

	// Hostname of the machine when it registered. For display only.
	// +optional
	Hostname string `json:"hostname,omitempty"`

	// BMC is the machine's baseboard management controller.
	// +optional
	BMC *BMC `json:"bmc,omitempty"`

	// ManagementAPI is a power interface over HTTP. It is used only when there is no BMC.
	// +optional
	ManagementAPI *ManagementAPI `json:"managementApi,omitempty"`

	// ConfigPatches are JSON patch operations for the server's machine configuration.
	// +optional
	// +listType=atomic
	ConfigPatches []ConfigPatch `json:"configPatches,omitempty"`

	// StrategicPatches are Talos strategic merge patches for the server's machine configuration.
	// +optional
	// +listType=atomic
	StrategicPatches []string `json:"strategicPatches,omitempty"`

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
	BootFromDiskMethod BootFromDisk `json:"bootFromDiskMethod,omitempty"`

	// PXEMode is the firmware that the BMC is asked to start from the network with: bios or uefi.
	// +optional
	PXEMode PXEMode `json:"pxeMode,omitempty"`

	// Power tells how the machine's power is controlled, beyond bmc and managementApi.
	// +optional
	Power *PowerControl `json:"power,omitempty"`

	// Wipe tells what of the machine's disks is wiped, and how.
	// +optional
	Wipe *WipePolicy `json:"wipe,omitempty"`
}

// ServerStatus is what is known about a Server.
type ServerStatus struct {
	// Ready tells whether the last power action for the server's state succeeded. For accepted servers only.
	// +optional
	Ready bool `json:"ready"`

	// InUse tells whether the server is allocated.
	// +optional
	InUse bool `json:"inUse"`

	// IsClean tells whether the server has been wiped and not been used since.
	// +optional
	IsClean bool `json:"isClean"`

	// Conditions of the server.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions Conditions `json:"conditions,omitempty"`

	// Addresses of the server.
	// +optional
	// +listType=atomic
	Addresses []corev1.NodeAddress `json:"addresses,omitempty"`

	// Power is the state of the server's power: on, off or unknown.
	// +optional
	Power string `json:"power,omitempty"`

	// Phase sums up the server's life for display: Registered, Waiting, Wiping, WipeFailed, Clean, Cordoned, Booting, InUse,
	// Deleting, Duplicate or Paused. Programs must go by the other fields.
	// +optional
	Phase string `json:"phase,omitempty"`

	// WaitingFor tells what has to happen next, when the appliance itself cannot do it or has to wait for it.
	// +optional
	WaitingFor string `json:"waitingFor,omitempty"`

	// AcceptedAt is when the server was first accepted. No class accepts it again after that.
	// +optional
	AcceptedAt *metav1.Time `json:"acceptedAt,omitempty"`

	// StartedAt is when the appliance last switched the machine on, or off and on, while it was in use. It is written before that
	// is done, and opens a boot window.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`

	// LastSeen is when the machine was last heard of: by its agent, or on its way there.
	// +optional
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`

	// BMCFingerprint is the SHA-256 of the certificate that the BMC had when it was first spoken to.
	// +optional
	BMCFingerprint string `json:"bmcFingerprint,omitempty"`

	// AllocatedFrom is the ServerClass that the server was last taken from; empty if it was taken by its name, or never.
	// +optional
	AllocatedFrom string `json:"allocatedFrom,omitempty"`

	// Identity is what tells the machine from others that claim the same UUID.
	// +optional
	Identity *MachineIdentity `json:"identity,omitempty"`

	// Wipe is what is planned for the machine's disks, and what was done.
	// +optional
	Wipe *WipeStatus `json:"wipe,omitempty"`

	// Boots are the last starts of the machine that the appliance has seen, the latest first.
	// +optional
	// +listType=atomic
	Boots []Boot `json:"boots,omitempty"`
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
	Status ServerStatus `json:"status,omitempty"`
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
