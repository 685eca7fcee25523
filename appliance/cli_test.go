package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// command runs a command line that ends by itself.
func command(t *testing.T, environment []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{environment: environment, stdout: &stdout, stderr: &stderr}
	code := p.execute(t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

func TestWrongUse(t *testing.T) {
	for _, test := range []struct {
		args   []string
		env    []string
		stderr []string
	}{
		{[]string{"fly"}, nil, []string{`error: there is no command "fly": see "sidero-appliance --help"`}},
		{[]string{"rn"}, nil, []string{`error: there is no command "rn": did you mean run? see "sidero-appliance --help"`}},
		{[]string{"run", "now"}, nil, []string{`error: "sidero-appliance run" takes flags only, not "now": see "sidero-appliance run --help"`}},
		{[]string{"run", "--bogus"}, nil, []string{`error: unknown flag: --bogus: see "sidero-appliance run --help"`}},
		{[]string{"run", "--secure-port=many"}, nil, []string{`error: invalid argument "many" for "--secure-port" flag: "many" is not a number`}},
		{[]string{"run", "--dhcp=server"}, nil, []string{"server is not in this version: use proxy beside your network's DHCP server, or off"}},
		{[]string{"run", "--secure-port=0", "--http-port=0"}, nil, []string{"error: securePort: must be", "error: httpPort: must be"}},
		{[]string{"run"}, []string{"SIDERO_APPLIANCE_DHCP=server"}, []string{"error: SIDERO_APPLIANCE_DHCP: server is not in this version"}},
		{[]string{"run", "--config=/nowhere.yaml"}, nil, []string{"error: read configuration file: open /nowhere.yaml: no such file or directory: write it, or name another with --config"}},
		{[]string{"run", "--interface=eth0,eth1"}, nil, []string{"error: advertiseAddress: must be given with several interfaces: set --advertise-address to one that machines behind all of eth0, eth1 can reach"}},
		{[]string{"version", "-o", "xml"}, nil, []string{`"xml" is not one of text, json`}},
		{[]string{"kubeconfig", "--http-port=1"}, nil, []string{"error: unknown flag: --http-port"}},
	} {
		got := command(t, test.env, test.args...)
		if got.code != exitUsage || got.stdout != "" {
			t.Errorf("%v: exit code %d, stdout %q, want %d and nothing", test.args, got.code, got.stdout, exitUsage)
		}
		for _, want := range test.stderr {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%v: stderr is\n     %s\nwant %s", test.args, got.stderr, want)
			}
		}
		for line := range strings.Lines(got.stderr) {
			if !strings.HasPrefix(line, "error: ") {
				t.Errorf("%v: line %q of stderr does not start with error:", test.args, line)
			}
		}
	}
}

// TestUnitKnowsTheExitCodes: systemd must not try again what cannot work, and
// must try again after a panic, with which Go exits 2.
func TestUnitKnowsTheExitCodes(t *testing.T) {
	unit, err := os.ReadFile("../deploy/systemd/sidero-appliance.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("\nRestartPreventExitStatus=%d\n", exitUsage), "\nRestart=on-failure\n"} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	if exitUsage == 2 || exitUsage == exitFailed {
		t.Errorf("wrong use exits with %d as other failures do", exitUsage)
	}
}

func TestVersionFlag(t *testing.T) {
	if got := command(t, nil, "--version"); got.code != exitOK || got.stdout != "sidero-appliance dev\n" {
		t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		got := command(t, nil, args...)
		if got.code != exitOK || !strings.Contains(got.stdout, "kubeconfig") || !strings.Contains(got.stdout, "\nServers:\n  accept ") {
			t.Errorf("%v: exit code %d: %s%s", args, got.code, got.stdout, got.stderr)
		}
	}
	got := command(t, nil, "run", "--help")
	for _, s := range settings(&Config{}) {
		if !strings.Contains(got.stdout, "--"+s.flag) {
			t.Errorf("run --help does not show --%s", s.flag)
		}
	}
	if strings.Contains(got.stdout, "(default )") || strings.Contains(got.stdout, "(default [])") {
		t.Errorf("run --help shows an empty default:\n%s", got.stdout)
	}
}

func TestFlagsOfLibrariesDoNotLeak(t *testing.T) {
	pflag.CommandLine.Bool("leaking-library-flag", false, "")
	for _, cmd := range []string{"run", "version", "kubeconfig"} {
		if got := command(t, nil, cmd, "--help"); strings.Contains(got.stdout, "leaking") {
			t.Errorf("%s offers a library's flag:\n%s", cmd, got.stdout)
		}
	}
	if got := command(t, nil, "version", "--leaking-library-flag"); got.code != exitUsage {
		t.Errorf("a library's flag is taken: exit code %d", got.code)
	}
}

func TestVersion(t *testing.T) {
	text := command(t, nil, "version")
	if text.code != exitOK || !strings.HasPrefix(text.stdout, "sidero-appliance dev (commit ") || !strings.Contains(text.stdout, "Kubernetes API") {
		t.Errorf("exit code %d: %s%s", text.code, text.stdout, text.stderr)
	}
	var report map[string]any
	got := command(t, nil, "version", "-o", "json")
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	for _, key := range []string{"version", "commit", "kubernetes", "go", "platform", "images"} {
		if report[key] == nil {
			t.Errorf("no %s in %s", key, got.stdout)
		}
	}
}

func TestVersionNamesThePackagesInside(t *testing.T) {
	var out bytes.Buffer
	report := newVersionReport([]assets.Image{{Name: "ipxe", Packages: []assets.Package{{Name: "ipxe", Version: "1.21.1"}}}})
	if err := report.write(&out, "text"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "  ipxe  ipxe  1.21.1\n") {
		t.Errorf("got %s", out.String())
	}
	out.Reset()
	if err := newVersionReport(nil).write(&out, "text"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "no boot images inside") {
		t.Errorf("got %s", out.String())
	}
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	missing := command(t, nil, "kubeconfig", "--data-dir", dir)
	if missing.code != exitFailed || !strings.HasPrefix(missing.stderr, "error: there is no kubeconfig at "+dir+"/admin.kubeconfig yet: start the appliance") {
		t.Errorf("without one: exit code %d: %s", missing.code, missing.stderr)
	}
	const secret = "apiVersion: v1\nkind: Config\n"
	elsewhere := filepath.Join(t.TempDir(), "k")
	for _, path := range []string{filepath.Join(dir, adminKubeconfig), elsewhere} {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, got := range map[string]result{
		"by flag":       command(t, nil, "kubeconfig", "--data-dir", dir),
		"by variable":   command(t, []string{"SIDERO_APPLIANCE_DATA_DIR=" + dir}, "kubeconfig"),
		"its own place": command(t, nil, "kubeconfig", "--kubeconfig", elsewhere),
	} {
		if got.code != exitOK || got.stdout != secret {
			t.Errorf("%s: exit code %d: %s%s", name, got.code, got.stdout, got.stderr)
		}
	}
	output := filepath.Join(t.TempDir(), "mine")
	if got := command(t, nil, "kubeconfig", "--data-dir", dir, "-o", output); got.code != exitOK || got.stdout != "" {
		t.Errorf("to a file: exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	info, err := os.Stat(output)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file has mode %v (%v), want 0600", info.Mode(), err)
	}
	again := command(t, nil, "kubeconfig", "--data-dir", dir, "-o", output)
	if again.code != exitFailed || again.stderr != "error: "+output+" exists already: choose another name, or remove it first\n" {
		t.Errorf("over a file: exit code %d: %s", again.code, again.stderr)
	}
}

func TestCompletion(t *testing.T) {
	got := command(t, nil, "completion", "bash")
	if got.code != exitOK || !strings.Contains(got.stdout, "__start_sidero-appliance") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	values := command(t, nil, "__complete", "run", "--dhcp", "")
	if !strings.HasPrefix(values.stdout, "proxy\noff\n") {
		t.Errorf("values for --dhcp: %q", values.stdout)
	}
}

func TestGreetingQuotesTheShellsWay(t *testing.T) {
	for path, want := range map[string]string{
		"/var/lib/a-b_c.d": "/var/lib/a-b_c.d",
		"/my data/k":       "'/my data/k'",
		"/it's":            `'/it'\''s'`,
	} {
		if got := shellWord(path); got != want {
			t.Errorf("%s becomes %s, want %s", path, got, want)
		}
	}
}
