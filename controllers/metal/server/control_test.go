package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// TestDriversAreMadeAnew has a person replace what a driver is made of: it has to be made anew, and what the old one saw counts no more, but for
// the certificate that it has found itself.
func TestDriversAreMadeAnew(t *testing.T) {
	c := &controls{guards: power.NewGuards(power.Options{}), pinned: func(string, string) {}}
	s := &v1alpha2.Server{}
	s.Spec.BMC = &v1alpha2.BMC{User: "u", Pass: "p"}
	s.Spec.Power = &v1alpha2.PowerControl{Redfish: &v1alpha2.RedfishPower{Endpoint: "bmc"}}

	made := func() *control {
		t.Helper()

		by, err := c.of(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}

		return by
	}
	first := made()

	if made().settings != first.settings {
		t.Error("other settings though nothing has changed")
	}

	s.Status.BMCFingerprint = strings.Repeat("aa", 32)
	if made().settings != first.settings {
		t.Error("what was seen before the certificate was pinned counts no more")
	}

	if _, err := first.driver.State(t.Context()); !errors.Is(err, power.ErrSuperseded) {
		t.Errorf("the driver of before the certificate was pinned says %v", err)
	}

	s.Spec.Power.Redfish.Endpoint = "other"
	if made().settings == first.settings {
		t.Error("what was seen of the old BMC still counts")
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
