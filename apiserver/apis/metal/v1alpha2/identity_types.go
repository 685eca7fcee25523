package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IdentityAnnotation is a person's word on which machine a server is, where several machines claim one UUID: IdentityOwn, or
// the name of the server that the same machine has got as well, by mistake.
const IdentityAnnotation = "metal.sidero.dev/identity"

// Values of IdentityAnnotation.
const (
	// IdentityUndecided is on a server that was made for a machine whose UUID another one had claimed before. Nothing is done to
	// it until a person decides.
	IdentityUndecided = "undecided"
	// IdentityOwn tells that the server is a machine of its own, whoever else claims its UUID.
	IdentityOwn = "own"
)

// MachineIdentity is what tells a machine from others with the same UUID. The machine itself has told it.
type MachineIdentity struct {
	// SerialNumber of the machine; empty if its firmware has none, or one that many machines share.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`

	// BootMAC is the address of the interface that the machine booted from last.
	// +optional
	BootMAC string `json:"bootMAC,omitempty"`

	// MACs are the permanent addresses of the machine's network adapters, without those on USB, which move.
	// +optional
	// +listType=atomic
	MACs []string `json:"macs,omitempty"`

	// OtherMACs are addresses of which nobody told what kind they are: Sidero's own agent does not.
	// +optional
	// +listType=atomic
	OtherMACs []string `json:"otherMACs,omitempty"`

	// ToldAt is when the machine told it last.
	ToldAt metav1.Time `json:"toldAt"`
}

// Duplicate tells whether several machines claim the server's identity and nobody has decided which one it is. Nothing is
// done to its machine then.
func (s *Server) Duplicate() bool {
	return s.Annotations[IdentityAnnotation] == IdentityUndecided || s.Status.Conditions.Is(ConditionDuplicateIdentity, corev1.ConditionTrue)
}
