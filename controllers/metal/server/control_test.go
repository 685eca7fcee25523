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

// TestHTTPBootIsAsked: a BMC tells UEFI where the boot file is only where a person wants that.
func TestHTTPBootIsAsked(t *testing.T) {
	const uri = "http://10.0.0.1:8081/tftp/snp.efi"

	c := &controls{httpBoot: uri, pinned: func(string, string) {}}
	s := &v1alpha2.Server{}
	s.Spec.Power = &v1alpha2.PowerControl{Redfish: &v1alpha2.RedfishPower{Endpoint: "bmc"}}

	if got := c.redfish(s, credentials{}).HTTPBoot; got != "" {
		t.Errorf("nobody has asked: %q", got)
	}

	if s.Spec.Power.Redfish.HTTPBoot = true; c.redfish(s, credentials{}).HTTPBoot != uri {
		t.Error("it is asked for")
	}
}
