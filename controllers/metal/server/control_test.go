package server

import (
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestRepinnedCertificate has a person replace the fingerprint that is trusted: the driver has to be made anew.
func TestRepinnedCertificate(t *testing.T) {
	c := &controls{}
	s := &v1alpha2.Server{}
	s.Status.BMCFingerprint = "aa"
	before := c.revision(s, credentials{})

	if c.revision(s, credentials{}) != before {
		t.Error("another revision though nothing has changed")
	}

	if s.Status.BMCFingerprint = "bb"; c.revision(s, credentials{}) == before {
		t.Error("the driver of the old certificate is kept")
	}
}
