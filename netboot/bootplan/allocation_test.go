package bootplan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
)

func allocatedFacts(edit func(*bootplan.Facts)) bootplan.Facts {
	f := bootplan.Facts{
		Request: bootplan.Request{UUID: uuid, MAC: mac, Arch: bootplan.AMD64},
		Server: bootplan.Server{Registered: true, Name: uuid, Allocation: &bootplan.Allocation{
			Environment: bootplan.Environment{Exists: true, Ready: true, Args: []string{"a=1", "b"}},
		}},
		Agent: agentSettings(),
	}
	if edit != nil {
		edit(&f)
	}
	return f
}

// TestAllocated goes through every combination of what is decided by for a machine in use (sidero-behaviour.md §3.5).
func TestAllocated(t *testing.T) {
	names, methods := []string{"", "own"}, []bootplan.FromDisk{"", bootplan.IPXEExit, bootplan.HTTP404, bootplan.IPXESANBoot}
	count := 0
	for i := range 8 {
		installed, always, anew := i&1 != 0, i&2 != 0, i&4 != 0
		for _, serverEnv := range names {
			for _, classEnv := range names {
				for _, missing := range names {
					for _, env := range []bootplan.Environment{{}, {Exists: true}, {Exists: true, Ready: true}, {Exists: true, Ready: true, Initrd: true}} {
						for _, serverDisk := range methods {
							for _, classDisk := range methods {
								for _, global := range methods {
									count++
									server, class := prefixed("server-", serverEnv), prefixed("class-", classEnv)
									f := allocatedFacts(func(f *bootplan.Facts) {
										f.FromDisk = global
										*f.Server.Allocation = bootplan.Allocation{
											Installed: installed, PXEBootAlways: always, Anew: anew, MissingClass: missing, Environment: env,
											Server: bootplan.Choices{Environment: server, FromDisk: serverDisk},
											Class:  bootplan.Choices{Environment: class, FromDisk: classDisk},
										}
									})
									checkAllocated(t, f)
								}
							}
						}
					}
				}
			}
		}
	}
	if count != 2*2*2*2*2*2*4*4*4*4 {
		t.Errorf("%d combinations", count)
	}
}

func prefixed(prefix, name string) string {
	if name == "" {
		return ""
	}
	return prefix + name
}

// checkAllocated says the rules in another way than the code: one after the other, the first that fits.
func checkAllocated(t *testing.T, f bootplan.Facts) {
	t.Helper()
	a, got := f.Server.Allocation, bootplan.Decide(f)
	first := func(texts ...string) string {
		return texts[slices.IndexFunc(texts, func(s string) bool { return s != "" })]
	}
	environment := first(a.Server.Environment, a.Class.Environment, "default")
	if got.Reason == "" {
		t.Errorf("%+v: no reason", a)
	}
	want := bootplan.Plan{Action: bootplan.BootEnvironment, Environment: environment}
	if a.Environment.Initrd {
		want.Initrds = []string{"initramfs.xz"}
	}
	missing := a.MissingClass != "" && a.Server.Environment == "" || !a.Environment.Exists
	switch {
	case a.Installed && !a.PXEBootAlways && !(a.Anew && !missing && a.Environment.Ready):
		want = bootplan.Plan{Action: bootplan.BootFromDisk, FromDisk: bootplan.FromDisk(first(string(a.Server.FromDisk), string(a.Class.FromDisk), string(f.FromDisk), "ipxe-exit"))}
	case missing:
		want = bootplan.Plan{Action: bootplan.NotFound}
	case !a.Environment.Ready:
		want = bootplan.Plan{Action: bootplan.NotReady}
	}
	if again := strings.Contains(got.Reason, "to have its configuration again"); again != (a.Installed && !a.PXEBootAlways && want.Action == bootplan.BootEnvironment) {
		t.Errorf("%+v: it is told %q", a, got.Reason)
	}
	got.Reason, got.Args = "", nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%+v: %s", a, diff)
	}
}

// TestTalosArgs holds the kernel arguments to Sidero's (§3.6), and the token to the appliance's own address.
func TestTalosArgs(t *testing.T) {
	const own = "talos.config=http://192.0.2.1:8081/configdata?uuid="
	link := bootplan.Talos{API: "192.0.2.1:8081", Logs: "tcp://[fd00::1]:4001", Events: "[fd00::1]:4002"}
	const reports = " siderolink.api=192.0.2.1:8081 talos.logging.kernel=tcp://[fd00::1]:4001 talos.events.sink=[fd00::1]:4002"
	for name, test := range map[string]struct {
		args  []string
		token string
		name  string
		talos bootplan.Talos
		want  string
	}{
		"upstream's":        {[]string{"a=1"}, "", uuid, link, "a=1 " + own + reports},
		"with a token":      {[]string{"a=1"}, "1-x", uuid, link, "a=1 " + own + "&token=1-x" + reports},
		"no link":           {nil, "1-x", uuid, bootplan.Talos{}, own + "&token=1-x"},
		"a name of its own": {nil, "1-x", uuid + "-525400010203", bootplan.Talos{}, own + uuid + "-525400010203&token=1-x"},
		"a UUID that others have": {nil, "", uuid + "-525400010203", link, own + uuid + "-525400010203" +
			strings.Replace(reports, "=192.0.2.1:8081", "=grpc://192.0.2.1:8081/?jointoken="+uuid+"-525400010203", 1)},
		"explicit, ours":          {[]string{own}, "1-x", uuid, bootplan.Talos{}, own + "&token=1-x"},
		"explicit, with variable": {[]string{own + "${uuid}&h=${hostname}"}, "1-x", uuid, bootplan.Talos{}, own + "${uuid}&h=${hostname}&token=1-x"},
		"explicit, without query": {[]string{strings.TrimSuffix(own, "?uuid=")}, "1-x", uuid, bootplan.Talos{}, strings.TrimSuffix(own, "?uuid=") + "?token=1-x"},
		"explicit, in one entry":  {[]string{"a=1 " + own + " b"}, "1-x", uuid, bootplan.Talos{}, "a=1 " + own + "&token=1-x b"},
		"explicit, has a token":   {[]string{own + "&token=9"}, "1-x", uuid, bootplan.Talos{}, own + "&token=9"},
		"explicit, elsewhere":     {[]string{"talos.config=http://192.0.2.9/configdata?uuid="}, "1-x", uuid, bootplan.Talos{}, "talos.config=http://192.0.2.9/configdata?uuid="},
		"explicit, another port":  {[]string{"talos.config=http://192.0.2.1:80811/configdata"}, "1-x", uuid, bootplan.Talos{}, "talos.config=http://192.0.2.1:80811/configdata"},
		"explicit, another path":  {[]string{"talos.config=http://192.0.2.1:8081/env/x"}, "1-x", uuid, bootplan.Talos{}, "talos.config=http://192.0.2.1:8081/env/x"},
		"explicit, another host":  {[]string{"talos.config=http://192.0.2.1:8081@evil/configdata"}, "1-x", uuid, bootplan.Talos{}, "talos.config=http://192.0.2.1:8081@evil/configdata"},
		"all explicit": {[]string{"talos.config=none", "siderolink.api=x", "talos.logging.kernel=y", "talos.events.sink=z"}, "1-x", uuid, link,
			"talos.config=none siderolink.api=x talos.logging.kernel=y talos.events.sink=z"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := bootplan.Decide(allocatedFacts(func(f *bootplan.Facts) {
				f.Talos, f.Server.Name = test.talos, test.name
				f.Server.Allocation.Environment.Args, f.Server.Allocation.Token = test.args, test.token
			}))
			if got := strings.Join(plan.Args, " "); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
			if test.token != "" && strings.Contains(plan.Reason, test.token) {
				t.Errorf("the token is in what is shown and logged: %s", plan.Reason)
			}
		})
	}
}

// TestAllocatedOthers is what goes before an allocation, and what it does not depend on.
func TestAllocatedOthers(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*bootplan.Facts)
		want bootplan.Action
		env  string
	}{
		"disputed":             {func(f *bootplan.Facts) { f.Server.Disputed = true }, bootplan.BootEnvironment, "agent-amd64"},
		"no agent for it":      {func(f *bootplan.Facts) { f.Agent.Arches = nil }, bootplan.BootEnvironment, "default"},
		"iPXE is too old":      {func(f *bootplan.Facts) { f.Request.Loader = bootplan.Loader{Platform: "efi", Version: "1.0.0"} }, bootplan.LoadNewerIPXE, ""},
		"old iPXE, from disk":  {func(f *bootplan.Facts) { f.Request.Loader.Platform, f.Server.Allocation.Installed = "efi", true }, bootplan.BootFromDisk, ""},
		"not allocated at all": {func(f *bootplan.Facts) { f.Server.Allocation = nil }, bootplan.BootEnvironment, "agent-amd64"},
	} {
		if got := bootplan.Decide(allocatedFacts(test.edit)); got.Action != test.want || got.Environment != test.env {
			t.Errorf("%s: %s", name, fmt.Sprint(got.Action, got.Environment))
		}
	}
}
