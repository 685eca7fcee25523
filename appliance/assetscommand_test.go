package appliance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
)

func TestAssetsImport(t *testing.T) {
	dir, from := t.TempDir(), t.TempDir()
	for _, name := range []string{"vmlinuz-amd64", "initramfs-amd64.xz", "bzImage"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(from)
	const digest = "87d5dd2ea6aad0df0e6bc65f0c2a6e2fb7d6a8eb1e9ef7c0d2bb3a6c1e43d8cf" // of nothing
	for _, test := range []struct {
		args   []string
		code   int
		stdout string // or, when it fails, stderr
		makes  []string
	}{
		{[]string{"vmlinuz-amd64", "./initramfs-amd64.xz"}, exitOK, "vmlinuz-amd64: stands for http://releases.test/talos/" + environment.TalosRelease + "/vmlinuz-amd64\n",
			[]string{"releases.test/talos/" + environment.TalosRelease + "/vmlinuz-amd64", "releases.test/talos/" + environment.TalosRelease + "/initramfs-amd64.xz"}},
		{[]string{"--release", "v1.2.3", "vmlinuz-amd64"}, exitOK, "/v1.2.3/vmlinuz-amd64", []string{"releases.test/talos/v1.2.3/vmlinuz-amd64"}},
		{[]string{"--url", "http://mirror.lan:8080/my/kernel", "bzImage"}, exitOK, "stands for http://mirror.lan:8080/my/kernel", []string{"mirror.lan:8080/my/kernel"}},
		{nil, exitUsage, "name the files to import", nil},
		{[]string{"bzImage"}, exitUsage, "error: bzImage is not named as a file of a Talos release is (vmlinuz-amd64, ", nil},
		{[]string{"--url", "http://a/b", "bzImage", "vmlinuz-amd64"}, exitUsage, "one by one", nil},
		{[]string{"--url", "mirror", "bzImage"}, exitUsage, "--url must be a URL", nil},
		{[]string{"--url", "http://a/", "missing"}, exitFailed, "open missing: no such file", nil},
		{[]string{"--sha512", digest, "bzImage"}, exitFailed, "bzImage has the SHA-512 ", nil},
		{[]string{"--data-dir", dir + "/x", "vmlinuz-amd64"}, exitFailed, "there is no " + dir + "/x: start the appliance once, or name its --data-dir", nil},
	} {
		args := append([]string{"assets", "import", "--data-dir", dir, "--talos-release-url", "http://releases.test/talos"}, test.args...)
		got := command(t, nil, args...)
		said := got.stdout
		if test.code != exitOK {
			said = got.stderr
		}
		if got.code != test.code || !strings.Contains(said, test.stdout) {
			t.Errorf("%v: exit code %d: %s%s\nwant %d: %s", test.args, got.code, got.stdout, got.stderr, test.code, test.stdout)
		}
		for _, name := range test.makes {
			if _, err := os.Stat(filepath.Join(dir, "assets/import", name)); err != nil {
				t.Error(err)
			}
		}
	}
	if got := command(t, nil, "assets", "export"); got.code != exitUsage || !strings.Contains(got.stderr, `there is no command "export": see "sidero-appliance assets --help"`) {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}
