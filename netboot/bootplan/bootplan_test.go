package bootplan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
)

const (
	mac  = "52:54:00:01:02:03"
	uuid = "52895372-7ef3-4ba4-9d6a-6f1c0e2d3b4a"
)

func agentSettings() bootplan.Agent {
	return bootplan.Agent{Endpoint: "192.0.2.1:8081", Arches: []bootplan.Arch{bootplan.AMD64}}
}

// TestDecide goes through every combination of what a decision depends on.
func TestDecide(t *testing.T) {
	loaders := map[bootplan.Loader]bool{ // whether it is too old
		{}: false,
		{Platform: "pcbios", Version: "1.0.0+git-20190125.36a4c85-5.1"}:     false,
		{Platform: "pcbios", Version: "1.21.1+git20250501.dad20602+dfsg-1"}: false,
		{Platform: "efi", Version: "1.0.0+git-20190125.36a4c85-5.1"}:        true,
		{Platform: "efi", Version: "1.0.0+ (3fe68)"}:                        true,
		{Platform: "efi", Version: "0.9.9"}:                                 true,
		{Platform: "efi", Version: "1.20.1+ (g4bd0)"}:                       true,
		{Platform: "efi", Version: "1.21.1+git20250501.dad20602+dfsg-1"}:    false,
		{Platform: "efi", Version: "1.100.0"}:                               false,
		{Platform: "efi", Version: "2.0.0+dfsg-5"}:                          false,
		{Platform: "efi", Version: "2"}:                                     false,
		{Platform: "efi", Version: ""}:                                      false,
		{Platform: "efi", Version: "x.y"}:                                   false,
		{Platform: "efi", Version: "1.99999999999999999999"}:                false,
		{Platform: "EFI", Version: "1.0.0"}:                                 false,
	}
	arches := []bootplan.Arch{bootplan.AMD64, bootplan.ARM64}
	for loader, old := range loaders {
		for _, arch := range arches {
			for _, server := range []bootplan.Server{{}, {Registered: true}, {Registered: true, Disputed: true}} {
				for _, built := range [][]bootplan.Arch{nil, {bootplan.AMD64}, arches} {
					facts := bootplan.Facts{
						Request: bootplan.Request{UUID: uuid, MAC: mac, Arch: arch, Loader: loader},
						Server:  server,
						Agent:   bootplan.Agent{Endpoint: "192.0.2.1:8081", Arches: built},
					}
					t.Run(fmt.Sprint(loader, arch, server, built), func(t *testing.T) {
						checkPlan(t, facts, old)
					})
				}
			}
		}
	}
}

func checkPlan(t *testing.T, facts bootplan.Facts, old bool) {
	t.Helper()
	arch := facts.Request.Arch
	plan := bootplan.Decide(facts)
	if plan.Reason == "" {
		t.Error("no reason")
	}
	plan.Reason, plan.Args = "", nil
	want := bootplan.Plan{
		Action: bootplan.BootEnvironment, Environment: "agent-" + string(arch), Initrds: []string{"initramfs.xz", "drivers.zst"},
	}
	switch {
	case !slices.Contains(facts.Agent.Arches, arch):
		want = bootplan.Plan{Action: bootplan.Wait}
	case old:
		want = bootplan.Plan{
			Action:   bootplan.LoadNewerIPXE,
			BootFile: map[bootplan.Arch]string{bootplan.AMD64: "snp.efi", bootplan.ARM64: "snp-arm64.efi"}[arch],
		}
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Error(diff)
	}
}

func TestLoaderOf(t *testing.T) {
	for userAgent, current := range map[string]bool{
		"iPXE/1.21.1+git20250501.dad20602+dfsg-1": true,
		"iPXE/2.0.0":                          true,
		"iPXE/1.0.0+git-20190125.36a4c85-5.1": false,
		"iPXE/":                               false,
		"UefiHttpBoot/1.21":                   false,
		"curl/7.88.1":                         false,
		"":                                    false,
	} {
		if got := bootplan.LoaderOf(userAgent).Current(); got != current {
			t.Errorf("%q: current %t, want %t", userAgent, got, current)
		}
	}
}

func TestReasonsAreForPeople(t *testing.T) {
	for name, test := range map[string]struct {
		facts bootplan.Facts
		want  string
	}{
		"unknown":    {bootplan.Facts{Request: bootplan.Request{Arch: bootplan.AMD64}, Agent: agentSettings()}, "not registered yet"},
		"registered": {bootplan.Facts{Request: bootplan.Request{Arch: bootplan.AMD64}, Server: bootplan.Server{Registered: true}, Agent: agentSettings()}, "not allocated"},
		"disputed":   {bootplan.Facts{Request: bootplan.Request{Arch: bootplan.AMD64}, Server: bootplan.Server{Registered: true, Disputed: true}, Agent: agentSettings()}, "a person has to decide"},
		"arm64":      {bootplan.Facts{Request: bootplan.Request{Arch: bootplan.ARM64}, Agent: agentSettings()}, "no registration agent for arm64"},
	} {
		if got := bootplan.Decide(test.facts).Reason; !strings.Contains(got, test.want) {
			t.Errorf("%s: %q does not say %q", name, got, test.want)
		}
	}
}

// TestAgentArgs holds the kernel arguments to Sidero's.
func TestAgentArgs(t *testing.T) {
	defaults := "init_on_alloc=1 slab_nomerge pti=on consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 " +
		"module.sig_enforce=1 proc_mem.force_override=never"
	tail := " initrd=initramfs.xz initrd=drivers.zst panic=30 sidero.mac=" + mac
	const consoles = " console=tty0 console=ttyS0"
	for name, test := range map[string]struct {
		endpoint, mac string
		extra         []string
		want          string
	}{
		"defaults": {"192.0.2.1:8081", mac, nil, defaults + consoles + tail + " sidero.endpoint=192.0.2.1:8081"},
		"IPv6":     {"[2001:db8::1]:8081", mac, nil, defaults + consoles + tail + " sidero.endpoint=[2001:db8::1]:8081"},
		"no MAC": {"192.0.2.1:8081", "", nil,
			defaults + consoles + " initrd=initramfs.xz initrd=drivers.zst panic=30 sidero.endpoint=192.0.2.1:8081"},
		"one console replaces both": {"192.0.2.1:8081", mac, []string{"console=ttyS1,115200"},
			defaults + tail + " sidero.endpoint=192.0.2.1:8081 console=ttyS1,115200"},
		"all of a key": {"192.0.2.1:8081", mac, []string{"console=ttyS1", "console=ttyAMA0"},
			defaults + tail + " sidero.endpoint=192.0.2.1:8081 console=ttyS1 console=ttyAMA0"},
		"several in one entry": {"192.0.2.1:8081", mac, []string{" console=ttyS1  quiet "},
			defaults + tail + " sidero.endpoint=192.0.2.1:8081 console=ttyS1 quiet"},
		"key without value": {"192.0.2.1:8081", mac, []string{"slab_nomerge=0"},
			strings.Replace(defaults, " slab_nomerge", "", 1) + consoles + tail + " sidero.endpoint=192.0.2.1:8081 slab_nomerge=0"},
		"not a prefix of a key": {"192.0.2.1:8081", mac, []string{"consol=1"},
			defaults + consoles + tail + " sidero.endpoint=192.0.2.1:8081 consol=1"},
		"endpoint too": {"192.0.2.1:8081", mac, []string{"sidero.endpoint=198.51.100.1:8081"},
			defaults + consoles + tail + " sidero.endpoint=198.51.100.1:8081"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := agentSettings()
			settings.Endpoint, settings.ExtraArgs = test.endpoint, test.extra
			plan := bootplan.Decide(bootplan.Facts{Request: bootplan.Request{MAC: test.mac, Arch: bootplan.AMD64}, Agent: settings})
			if diff := cmp.Diff(strings.Fields(test.want), plan.Args); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseMAC(t *testing.T) {
	for text, want := range map[string]string{
		"52-54-00-01-02-03":       mac, // iPXE's hexhyp
		"52:54:00:01:02:03":       mac,
		"5254.0001.0203":          mac,
		"525400010203":            mac, // iPXE's hexraw
		"52:54:00:0A:0B:0C":       "52:54:00:0a:0b:0c",
		"52-54-00-0A-0b-0C":       "52:54:00:0a:0b:0c",
		"02-00-5e-10-00-00-00-01": "02:00:5e:10:00:00:00:01",
		"":                        "",
		"52-54-00-01-02":          "",
		"52-54-00-01-02-0g":       "",
		"52:54-00:01:02:03":       "",
		"5254000102030":           "",
		"${net0/mac:hexhyp}":      "",
		"52-54-00-01-02-03 a=1":   "",
	} {
		if got := bootplan.ParseMAC(text); got != want {
			t.Errorf("ParseMAC(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestParseArch(t *testing.T) {
	for buildarch, want := range map[string]bootplan.Arch{
		"arm64": bootplan.ARM64, "i386": bootplan.AMD64, "x86_64": bootplan.AMD64, "": bootplan.AMD64, "riscv64": bootplan.AMD64, "ARM64": bootplan.AMD64,
	} {
		if got := bootplan.ParseArch(buildarch); got != want {
			t.Errorf("ParseArch(%q) = %q, want %q", buildarch, got, want)
		}
	}
}
