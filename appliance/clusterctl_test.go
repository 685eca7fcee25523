package appliance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
)

func TestClusterctlRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "repo", "clusterctl.yaml")
	for _, args := range [][]string{{"repo"}, {"./repo/"}, {filepath.Join(dir, "repo")}} {
		got := command(t, nil, append([]string{"clusterctl-repository"}, args...)...)
		if got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "\n  clusterctl --config "+config+" generate cluster NAME ") {
			t.Errorf("%v: exit code %d: %s%s", args, got.code, got.stdout, got.stderr)
		}
	}
	content, err := os.ReadFile(config)
	if err != nil || !strings.Contains(string(content), "url: file://"+dir+"/repo/infrastructure-sidero/v") {
		t.Errorf("%v: %s", err, content)
	}
	spaced := command(t, nil, "clusterctl-repository", "my repo")
	if !strings.Contains(spaced.stdout, " --config '"+dir+"/my repo/clusterctl.yaml' ") {
		t.Errorf("not quoted for the shell: %s%s", spaced.stdout, spaced.stderr)
	}
}

func TestClusterctlRepositoryRefuses(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{nil, exitUsage, `error: "sidero-appliance clusterctl-repository" takes one directory, not []: see "sidero-appliance clusterctl-repository --help"`},
		{[]string{"a", "b"}, exitUsage, `error: "sidero-appliance clusterctl-repository" takes one directory, not ["a" "b"]: see`},
		{[]string{""}, exitUsage, `takes one directory, not [""]`},
		{[]string{"--data-dir=x", "a"}, exitUsage, "error: unknown flag: --data-dir"},
		{[]string{dir}, exitFailed, "error: " + mine + " is there already, and this command did not write it: choose a directory that is new or empty\n"},
		{[]string{"/proc/x"}, exitFailed, "error: write repository: mkdir /proc/x"},
	} {
		got := command(t, nil, append([]string{"clusterctl-repository"}, test.args...)...)
		if got.code != test.code || got.stdout != "" || !strings.Contains(got.stderr, test.stderr) {
			t.Errorf("%v: exit code %d: %s%s\nwant %d: %s", test.args, got.code, got.stdout, got.stderr, test.code, test.stderr)
		}
	}
}

// TestClustersBootTheDefaultRelease: a configuration must be for the release that
// the default Environment boots.
func TestClustersBootTheDefaultRelease(t *testing.T) {
	if !strings.HasPrefix(environment.TalosRelease, repository.TalosVersion+".") {
		t.Errorf("clusters are configured for Talos %s, and boot %s", repository.TalosVersion, environment.TalosRelease)
	}
}
