package redfish

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

func TestTrustOnFirstUse(t *testing.T) {
	bmc := start(t, emulator.Config{})
	var told []string
	d := driver(t, bmc, func(c *Config) { c.Pin = func(fingerprint string) { told = append(told, fingerprint) } })
	if d.Fingerprint() != "" {
		t.Error("pinned before anything was seen")
	}
	look(t, d)
	look(t, d)
	first := bmc.Fingerprint()
	if !slices.Equal(told, []string{first}) || d.Fingerprint() != first {
		t.Errorf("pinned %q, told %q, not %q", d.Fingerprint(), told, first)
	}
	if err := bmc.RenewCertificate(); err != nil {
		t.Fatal(err)
	}
	before := len(bmc.Commands())
	_, err := d.State(t.Context())
	var changed *CertificateError
	if !errors.As(err, &changed) || changed.Pinned != first || changed.Seen != bmc.Fingerprint() || !matches(err, "accept it by replacing the pinned fingerprint") {
		t.Errorf("error is %v", err)
	}
	if after := len(bmc.Commands()); after != before {
		t.Errorf("%d requests over a connection that is not trusted", after-before)
	}
	// Accepted: a driver with the new one.
	accepted := driver(t, bmc, func(c *Config) {
		c.Fingerprint = changed.Seen
		c.Pin = func(string) { t.Error("told what it was given") }
	})
	look(t, accepted)
}

func TestPinnedFromTheStart(t *testing.T) {
	bmc := start(t, emulator.Config{})
	var pairs []string
	for pair := range slices.Chunk([]byte(strings.ToUpper(bmc.Fingerprint())), 2) {
		pairs = append(pairs, string(pair))
	}
	look(t, driver(t, bmc, func(c *Config) { c.Fingerprint = strings.Join(pairs, ":") }))
	other := driver(t, bmc, func(c *Config) { c.Fingerprint = strings.Repeat("ab", 32) })
	var changed *CertificateError
	if err := other.On(t.Context()); !errors.As(err, &changed) {
		t.Error(err)
	}
	if bmc.Powered("1") {
		t.Error("turned on over a connection that is not trusted")
	}
}

func TestLegacyTLS(t *testing.T) {
	look(t, driver(t, start(t, emulator.Config{LegacyTLS: true}), nil))
}
