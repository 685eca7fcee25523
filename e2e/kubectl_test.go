//go:build e2e

package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestKubectl types what a person types first.
func TestKubectl(t *testing.T) {
	ctx, i := start(t, time.Minute)
	name := newcomer(0)
	register(ctx, t, connect(t, i), name)

	kubectl := func(t *testing.T, line string) string {
		t.Helper()

		out, err := i.Kubectl(ctx, strings.Fields(line)...)

		return must(t, out, err)
	}

	t.Run("version", func(t *testing.T) {
		var version struct {
			ServerVersion struct{ Major, Minor, GitVersion string }
		}

		out := kubectl(t, "version --output json")
		if err := json.Unmarshal([]byte(out), &version); err != nil {
			t.Fatal(err)
		}

		if v := version.ServerVersion; v.GitVersion != "v1.36.3" || v.Major != "1" || v.Minor != "36" {
			t.Errorf("server is %+v", v)
		}

		// kubectl compares the versions and warns when it cannot, or when they are far apart.
		if text := kubectl(t, "version"); !strings.Contains(text, "Server Version: v1.36.3\n") {
			t.Errorf("says %s", text)
		}
	})

	for line, parts := range map[string][]string{
		"get servers --output wide": {
			"NAME", "HOSTNAME", "BMC IP", "ACCEPTED", "CORDONED", "ALLOCATED", "CLEAN", "POWER", "PHASE", "WAITING FOR", "AGE", name,
		},
		"get servers --output name":                  {"server.metal.sidero.dev/" + name},
		"get environments,serverclasses":             {"environment.metal.sidero.dev/default", "serverclass.metal.sidero.dev/any"},
		"explain server.spec.bmc":                    {"GROUP:", "metal.sidero.dev", "v1alpha2", "endpoint", "passFrom", "-required-"},
		"explain server.status.addresses":            {"NodeAddress"},
		"describe server " + name:                    {"Name:", name, "Serial Number:", serial(name), newcomersAddress, "Accepted:", "Events:"},
		"api-resources --api-group metal.sidero.dev": {"environments", "servers", "serverclasses"},
		"auth whoami":                                {"system:masters"},
	} {
		t.Run(line, func(t *testing.T) {
			out := kubectl(t, line)
			for _, part := range parts {
				if !strings.Contains(out, part) {
					t.Errorf("%q is missing in:\n%s", part, out)
				}
			}
		})
	}

	t.Run("accept", func(t *testing.T) {
		// as the console and the greeting say
		if _, err := i.Kubectl(ctx, "patch", "server", name, "--type", "merge", "-p", `{"spec":{"accepted":true}}`); err != nil {
			t.Fatal(err)
		}

		if !server(ctx, t, admin(t, i), name).Spec.Accepted {
			t.Error("the server is not accepted")
		}
	})

	t.Run("delete", func(t *testing.T) {
		kubectl(t, "delete server "+name+" --timeout 10s")

		if out, err := i.Kubectl(ctx, "get", "server", name); err == nil {
			t.Errorf("it is still there: %s", out)
		}
	})
}
