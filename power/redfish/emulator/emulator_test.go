package emulator_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

func start(t *testing.T, config emulator.Config) *emulator.Server {
	t.Helper()
	server, err := emulator.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// run runs a program that must succeed and returns what it printed.
func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	// Python's requests verifies against REQUESTS_CA_BUNDLE even when told not to verify.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	var output, problems bytes.Buffer
	command.Stdout, command.Stderr = &output, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, output.String(), problems.String())
	}
	return output.String()
}

// TestRedfishtool holds the emulator to what DMTF's own client accepts.
func TestRedfishtool(t *testing.T) {
	tool, err := exec.LookPath("redfishtool")
	if err != nil {
		t.Fatal("redfishtool is not installed: run \"make deps\"")
	}
	server := start(t, emulator.Config{})
	redfishtool := func(authentication string, arguments ...string) string {
		return run(t, tool, append([]string{"-r", server.Address(), "-S", "Always", "-A", authentication, "-u", "admin", "-p", "password"}, arguments...)...)
	}
	for _, authentication := range []string{"Basic", "Session"} {
		redfishtool(authentication, "root")
		if listed := redfishtool(authentication, "Systems", "list"); !strings.Contains(listed, "/redfish/v1/Systems/1") {
			t.Errorf("systems are %s", listed)
		}
		redfishtool(authentication, "Systems", "-F", "setBootOverride", "Once", "Pxe")
		if got := redfishtool(authentication, "-P", "Boot", "Systems", "-F", "get"); !strings.Contains(got, `"BootSourceOverrideTarget": "Pxe"`) {
			t.Errorf("boot is %s", got)
		}
		redfishtool(authentication, "Systems", "-F", "reset", "On")
		if !server.Powered("1") {
			t.Error("not on")
		}
		redfishtool(authentication, "Systems", "-F", "reset", "ForceOff")
		if got := redfishtool(authentication, "-P", "PowerState", "Systems", "-F", "get"); !strings.Contains(got, "Off") || server.Powered("1") {
			t.Errorf("power is %s", got)
		}
		redfishtool(authentication, "Managers", "list")
		redfishtool(authentication, "Chassis")
		redfishtool(authentication, "SessionService", "get")
	}
	// The override was for one boot each time.
	boots := server.Boots()
	if len(boots) != 2 || boots[0].Target != "Pxe" || boots[1].Target != "Pxe" {
		t.Errorf("boots are %v", boots)
	}
	if open := server.OpenSessions(); open != 0 {
		t.Errorf("%d sessions are open", open)
	}
	for _, want := range []string{"login", "boot Once Pxe", "reset On", "reset ForceOff", "logout"} {
		if !slices.Contains(server.Actions(), want) {
			t.Errorf("no %q in %v", want, server.Actions())
		}
	}
}

// TestSushy holds the emulator to what OpenStack's client accepts.
func TestSushy(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's modules
	if err := exec.CommandContext(t.Context(), python, "-c", "import sushy").Run(); err != nil {
		t.Fatal("sushy is not installed: run \"make deps\"")
	}
	for name, config := range map[string]emulator.Config{
		"usual":        {},
		"future state": {Lies: emulator.Lies{FutureState: true}},
	} {
		server := start(t, config)
		output := run(t, python, "testdata/sushy_client.py", server.URL())
		if output != "off\noff on off\npxe once uefi\n" {
			t.Errorf("%s: sushy saw %s", name, output)
		}
		if boots := server.Boots(); len(boots) != 2 || boots[0].Target != "Pxe" || boots[0].Mode != "UEFI" || boots[1].Target != "None" {
			t.Errorf("%s: boots are %v", name, boots)
		}
		want := []string{"login", "boot Once Pxe UEFI", "reset On", "reset ForceRestart", "reset ForceOff", "logout"}
		if actions := server.Actions(); !slices.Equal(actions, want) {
			t.Errorf("%s: actions are %q", name, actions)
		}
	}
}

func TestClosedToStrangers(t *testing.T) {
	server := start(t, emulator.Config{Plain: true})
	for _, request := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/redfish/v1/", 200},
		{"GET", "/redfish/v1/Systems", 401},
		{"GET", "/redfish/v1/Systems/1", 401},
		{"PATCH", "/redfish/v1/Systems/1", 401},
		{"POST", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", 401},
		{"POST", "/redfish/v1/SessionService/Sessions", 400},
		{"DELETE", "/redfish/v1/SessionService/Sessions/1", 401},
	} {
		asked, err := http.NewRequestWithContext(t.Context(), request.method, server.URL()+request.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(asked)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != request.want {
			t.Errorf("%s %s: %s", request.method, request.path, response.Status)
		}
	}
}
