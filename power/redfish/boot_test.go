package redfish

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

func TestBootFromNetwork(t *testing.T) {
	type (
		targets = []redfish.BootSourceOverrideTarget
		modes   = []redfish.BootSourceOverrideMode
	)
	for name, test := range map[string]struct {
		firmware power.Firmware
		system   emulator.System
		lies     emulator.Lies
		target   redfish.BootSourceOverrideTarget
		mode     redfish.BootSourceOverrideMode
		is       error
		err      string
	}{
		"uefi":                        {firmware: power.UEFI, target: "Pxe", mode: "UEFI"},
		"bios":                        {firmware: power.BIOS, target: "Pxe", mode: "Legacy"},
		"firmware not known":          {target: "Pxe", mode: "UEFI"},
		"no PXE":                      {firmware: power.UEFI, system: emulator.System{Targets: targets{"Hdd", "UefiHttp"}}, target: "UefiHttp", mode: "UEFI"},
		"no PXE, bios":                {firmware: power.BIOS, system: emulator.System{Targets: targets{"Hdd", "UefiHttp"}}, err: "enable network boot in its firmware's setup"},
		"no network":                  {firmware: power.UEFI, system: emulator.System{Targets: targets{"Hdd"}}, err: "boots from [Hdd] only"},
		"not that firmware":           {firmware: power.BIOS, system: emulator.System{Modes: modes{"UEFI"}}, err: "boots in mode [UEFI] only, not Legacy"},
		"no override":                 {firmware: power.UEFI, system: emulator.System{NoBoot: true}, is: ErrNoBootOverride, err: "put the network first in the boot order"},
		"success without effect":      {firmware: power.UEFI, lies: emulator.Lies{IgnoreBoot: true}, is: ErrBootNotKept, err: `it shows "Disabled" "None", wanted is "Once" "Pxe"`},
		"mode read-only and right":    {firmware: power.UEFI, lies: emulator.Lies{ReadOnlyMode: true}, target: "Pxe", mode: "UEFI"},
		"mode read-only and wrong":    {firmware: power.BIOS, lies: emulator.Lies{ReadOnlyMode: true}, err: "the BMC answers 400: BootSourceOverrideMode cannot be set."},
		"AMI's future state":          {firmware: power.UEFI, lies: emulator.Lies{FutureState: true}, target: "Pxe", mode: "UEFI"},
		"future state, bios":          {firmware: power.BIOS, lies: emulator.Lies{FutureState: true}, target: "Pxe", mode: "Legacy"},
		"future state, not mentioned": {firmware: power.UEFI, lies: emulator.Lies{FutureState: true, NoSettings: true}, target: "Pxe", mode: "UEFI"},
		"ETags that never match":      {firmware: power.UEFI, lies: emulator.Lies{BrokenETags: true}, target: "Pxe", mode: "UEFI"},
		"properties of a wrong type":  {firmware: power.UEFI, lies: emulator.Lies{WrongTypes: true}, target: "Pxe", mode: "UEFI"},
		"error with effect":           {firmware: power.UEFI, lies: emulator.Lies{SetAndRefuse: true}, target: "Pxe", mode: "UEFI"},
		"error, and no effect":        {firmware: power.UEFI, lies: emulator.Lies{SetAndRefuse: true, IgnoreBoot: true}, err: "the BMC answers 400: The attribute is read-only"},
		"Boot without override":       {firmware: power.UEFI, lies: emulator.Lies{BootWithoutOverride: true}, is: ErrNoBootOverride, err: "put the network first"},
		"forbidden":                   {firmware: power.UEFI, lies: emulator.Lies{ReadOnlyUser: true}, err: "the BMC answers 403: The account may only read."},
	} {
		t.Run(name, func(t *testing.T) {
			test.system.ID = "1"
			bmc := start(t, emulator.Config{Plain: true, Systems: []emulator.System{test.system}, Lies: test.lies})
			d := driver(t, bmc, nil)
			if err := d.BootFromNetwork(t.Context(), test.firmware); test.is != nil && !errors.Is(err, test.is) || !matches(err, test.err) {
				t.Errorf("error is %v", err)
			}
			if test.target == "" {
				return
			}
			// The machine's next boot is as asked, the one after that is its own.
			for _, target := range []redfish.BootSourceOverrideTarget{test.target, "None"} {
				if err := d.Cycle(t.Context()); err != nil {
					t.Fatal(err)
				}
				boots := bmc.Boots()
				if last := boots[len(boots)-1]; last.Target != target || last.Mode != test.mode {
					t.Errorf("boots %s %s", last.Target, last.Mode)
				}
			}
		})
	}
}

// TestShownLate is for BMCs that keep an override only some time after they have answered.
func TestShownLate(t *testing.T) {
	bmc := start(t, emulator.Config{Plain: true, Lies: emulator.Lies{LateBoot: 300 * time.Millisecond}})
	d := driver(t, bmc, func(c *Config) { c.Settle = 10 * time.Second })
	if err := d.BootFromNetwork(t.Context(), power.UEFI); err != nil {
		t.Error(err)
	}
	if got := actions(bmc); len(got) != 1 {
		t.Errorf("actions are %q", got)
	}
}

// TestOneMinute is why a boot override and the power go together.
func TestOneMinute(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	after := func(duration time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(duration)
	}
	bmc := start(t, emulator.Config{
		Plain: true, Lies: emulator.Lies{BootExpiry: time.Minute},
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
	})
	d := driver(t, bmc, nil)
	for pause, want := range map[time.Duration]redfish.BootSourceOverrideTarget{0: "Pxe", 59 * time.Second: "Pxe", time.Minute: "None"} {
		if err := d.BootFromNetwork(t.Context(), power.UEFI); err != nil {
			t.Fatal(err)
		}
		after(pause)
		if err := d.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		boots := bmc.Boots()
		if last := boots[len(boots)-1]; last.Target != want {
			t.Errorf("after %s it boots %s", pause, last.Target)
		}
	}
}

func TestBootFromHTTP(t *testing.T) {
	const uri = "http://10.0.0.1:8081/tftp/snp.efi"
	for name, test := range map[string]struct {
		system emulator.System
		lies   emulator.Lies
		is     error
	}{
		"usual":                  {},
		"read-only":              {lies: emulator.Lies{ReadOnlyHTTPBoot: true}, is: ErrNoHTTPBoot},
		"success without effect": {lies: emulator.Lies{IgnoreBoot: true}, is: ErrNoHTTPBoot},
		"no such thing":          {system: emulator.System{Targets: []redfish.BootSourceOverrideTarget{"Pxe"}}, is: ErrNoHTTPBoot},
		"no override":            {system: emulator.System{NoBoot: true}, is: ErrNoHTTPBoot},
		"future state":           {lies: emulator.Lies{FutureState: true}},
	} {
		test.system.ID = "1"
		bmc := start(t, emulator.Config{Plain: true, Systems: []emulator.System{test.system}, Lies: test.lies})
		d := driver(t, bmc, nil)
		if err := d.BootFromHTTP(t.Context(), uri); !errors.Is(err, test.is) {
			t.Errorf("%s: %v", name, err)
		}
		if test.is != nil {
			continue
		}
		if err := d.On(t.Context()); err != nil {
			t.Fatal(err)
		}
		if boots := bmc.Boots(); len(boots) != 1 || boots[0].Target != "UefiHttp" || boots[0].URI != uri {
			t.Errorf("%s: boots are %v", name, boots)
		}
	}
}

// TestHTTPBootForNetwork: with a URI configured the network boot of UEFI is that one where the BMC takes it, and PXE else.
func TestHTTPBootForNetwork(t *testing.T) {
	const uri = "http://10.0.0.1:8081/tftp/snp.efi"
	for name, test := range map[string]struct {
		firmware power.Firmware
		lies     emulator.Lies
		target   redfish.BootSourceOverrideTarget
		uri      string
	}{
		"uefi":      {firmware: power.UEFI, target: "UefiHttp", uri: uri},
		"not known": {target: "UefiHttp", uri: uri},
		"bios":      {firmware: power.BIOS, target: "Pxe"},
		"read-only": {firmware: power.UEFI, lies: emulator.Lies{ReadOnlyHTTPBoot: true}, target: "Pxe"},
	} {
		bmc := start(t, emulator.Config{Plain: true, Systems: []emulator.System{{ID: "1"}}, Lies: test.lies})
		d := driver(t, bmc, func(c *Config) { c.HTTPBoot = uri })
		if err := d.BootFromNetwork(t.Context(), test.firmware); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.On(t.Context()); err != nil {
			t.Fatal(err)
		}
		if boots := bmc.Boots(); len(boots) != 1 || boots[0].Target != test.target || boots[0].URI != test.uri {
			t.Errorf("%s: boots are %v", name, boots)
		}
	}
}

func TestWays(t *testing.T) {
	wanted := redfish.Boot{BootSourceOverrideTarget: "Pxe", BootSourceOverrideEnabled: "Once", BootSourceOverrideMode: "UEFI"}
	for name, test := range map[string]struct {
		settings string
		mode     redfish.BootSourceOverrideMode
		want     []string
	}{
		"right mode":               {"", "UEFI", []string{"/1 UEFI", "/1 "}},
		"mode not shown":           {"", "", []string{"/1 UEFI", "/1 "}},
		"wrong mode":               {"", "Legacy", []string{"/1 UEFI"}},
		"settings":                 {"/1/SD", "UEFI", []string{"/1 UEFI", "/1/SD UEFI", "/1 ", "/1/SD "}},
		"settings, and wrong mode": {"/1/SD", "Legacy", []string{"/1 UEFI", "/1/SD UEFI"}},
	} {
		machine := &system{uri: "/1", Boot: &boot{Mode: test.mode}}
		machine.Settings.Object.URI = test.settings
		var got []string
		for _, way := range ways(machine, wanted) {
			got = append(got, strings.Join([]string{way.uri, string(way.boot.BootSourceOverrideMode)}, " "))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
