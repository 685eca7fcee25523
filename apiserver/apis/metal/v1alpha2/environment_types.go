package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnvironmentDefault is the name of the Environment that allocated servers boot when neither they nor their class name one.
const EnvironmentDefault = "default"

const (
	// AnnotationDefaultDigest is on an Environment that the appliance made. It is a digest of the spec that it wrote: while it
	// fits the spec, nobody has edited that, and an appliance of another release may replace it by its own. Without the
	// annotation, or when the spec was edited, the Environment is the user's and is left alone.
	AnnotationDefaultDigest = "metal.sidero.dev/default-digest"

	// AnnotationReplaceAgent has machines boot an Environment that has the name of a registration agent in place of the agent's
	// files, when it is "true" on that Environment.
	AnnotationReplaceAgent = "metal.sidero.dev/replace-agent"

	// AgentEnvironmentPrefix begins the names of registration agents: agent-amd64 and agent-arm64 are no Environments of the
	// API, but folders beside theirs.
	AgentEnvironmentPrefix = "agent-"
)

// EnvironmentSpec tells what an allocated server boots from the network.
type EnvironmentSpec struct {
	// Kernel to boot and its command line.
	// +optional
	Kernel Kernel `json:"kernel,omitempty"`

	// Initrd is the initial RAM disk to boot with.
	// +optional
	Initrd Initrd `json:"initrd,omitempty"`
}

// Asset is a file that is downloaded once and served to machines.
type Asset struct {
	// URL the file is downloaded from.
	// +optional
	URL string `json:"url,omitempty"`

	// SHA512 is the file's digest in hexadecimal. Empty means that it is not checked.
	// +optional
	SHA512 string `json:"sha512,omitempty"`
}

// Kernel is a Linux kernel and its command line.
type Kernel struct {
	Asset `json:",inline"`

	// Args are the entries of the kernel's command line.
	// +optional
	// +listType=atomic
	Args []string `json:"args,omitempty"`
}

// Initrd is an initial RAM disk.
type Initrd struct {
	Asset `json:",inline"`
}

// AssetConditionReady is the type of the condition that tells whether an asset can be served.
const AssetConditionReady = "Ready"

// AssetCondition tells whether one asset of an Environment can be served. It is not a condition of Cluster API: there is
// one per URL, and it has no timestamps.
type AssetCondition struct {
	Asset `json:",inline"`

	// Status is True or False.
	Status string `json:"status"`

	// Type of the condition, always Ready.
	Type string `json:"type"`

	// Reason is one word for what is done about the file, or why it cannot be served.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message says the same to people, and what they can do.
	// +optional
	Message string `json:"message,omitempty"`

	// Size of the whole file in bytes, once it is known.
	// +optional
	Size int64 `json:"size,omitempty"`

	// Received is how many bytes of the file there are so far, until it is complete.
	// +optional
	Received int64 `json:"received,omitempty"`

	// Digest is the SHA-512 of the file that is served, in hexadecimal, whether or not the spec names one.
	// +optional
	Digest string `json:"digest,omitempty"`
}

// EnvironmentStatus is what is known about an Environment's assets.
type EnvironmentStatus struct {
	// Conditions holds one entry for each asset.
	// +optional
	// +listType=atomic
	Conditions []AssetCondition `json:"conditions,omitempty"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Environment is a kernel, an initial RAM disk and a command line that allocated servers boot from the network.
type Environment struct {
	metav1.TypeMeta `json:",inline"`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec tells what an allocated server boots from the network.
	// +optional
	Spec EnvironmentSpec `json:"spec,omitempty"`

	// Status tells whether the files can be served.
	// +optional
	Status EnvironmentStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EnvironmentList is a list of Environments.
type EnvironmentList struct {
	metav1.TypeMeta `json:",inline"`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the Environments.
	Items []Environment `json:"items"`
}

// Ready tells whether every file that the Environment names can be served. One without URLs is ready. A condition about the
// same URL with another digest does not count: it is older than the spec.
func (e *Environment) Ready() bool {
	ready := map[Asset]bool{}

	for _, c := range e.Status.Conditions {
		if c.Type == AssetConditionReady && c.Status == string(metav1.ConditionTrue) {
			ready[c.Asset] = true
		}
	}

	for _, asset := range []Asset{e.Spec.Kernel.Asset, e.Spec.Initrd.Asset} {
		if asset.URL != "" && !ready[asset] {
			return false
		}
	}

	return true
}
