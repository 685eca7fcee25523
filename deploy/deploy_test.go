package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const unit = "systemd/sidero-appliance.service"

// tool runs a program and returns what it wrote.
func tool(t *testing.T, debianPackage, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v (Debian package %s)", err, debianPackage)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// verifiable is a copy of the unit whose program exists on this machine.
func verifiable(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(unit))
	changed := strings.Replace(string(text), "/usr/local/bin/sidero-appliance", self, 1)
	if changed == string(text) {
		t.Fatalf("%s does not start /usr/local/bin/sidero-appliance", unit)
	}
	if err := os.WriteFile(copied, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestSystemdAcceptsTheUnit(t *testing.T) {
	out, err := tool(t, "systemd", "systemd-analyze", "verify", "--man=no", verifiable(t))
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestUnitIsConfined asks systemd's own judge: 0.0 is safe, 10.0 is dangerous.
func TestUnitIsConfined(t *testing.T) {
	out, err := tool(t, "systemd", "systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", verifiable(t))
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

func TestSystemdAcceptsTheUser(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "usr/lib/sysusers.d")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.Mkdir(filepath.Join(root, "etc"), 0o755)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("systemd/sidero-appliance.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "sidero-appliance.conf"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "systemd", "systemd-sysusers", "--root="+root); err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, out)
	}
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil || !strings.HasPrefix(string(users), "sidero-appliance:x:") {
		t.Errorf("users are %q (%v)", users, err)
	}
}

func TestInstallAndUninstall(t *testing.T) {
	root := t.TempDir()
	binary := filepath.Join(t.TempDir(), "sidero-appliance")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(target string) string {
		t.Helper()
		out, err := tool(t, "make", "make", "--no-print-directory", "-C", "..", target, "DESTDIR="+root, "PREFIX=/opt/metal", "BINARY="+binary)
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
		return out
	}
	for range 2 { // installing over an older version is an upgrade
		if out := run("install"); !strings.Contains(out, "systemctl enable --now sidero-appliance") || !strings.Contains(out, "systemctl restart sidero-appliance") {
			t.Errorf("make install does not say how to start and how to restart:\n%s", out)
		}
	}
	want := []string{
		"opt/metal/bin/sidero-appliance 0755",
		"opt/metal/lib/sysusers.d/sidero-appliance.conf 0644",
		"opt/metal/share/doc/sidero-appliance/GPL-2.0.txt 0644",
		"opt/metal/share/doc/sidero-appliance/LICENSE 0644",
		"opt/metal/share/doc/sidero-appliance/NOTICE 0644",
		"opt/metal/share/doc/sidero-appliance/flags.md 0644",
		"opt/metal/share/doc/sidero-appliance/sources.md 0644",
		"usr/local/lib/systemd/system/sidero-appliance.service 0644", // systemd looks in no PREFIX
	}
	// The notices of what the images hold, where there are images.
	notices, err := filepath.Glob("../assets/images/agent-amd64/*.copyright")
	if err != nil {
		t.Fatal(err)
	}
	for _, notice := range notices {
		want = append(want, "opt/metal/share/doc/sidero-appliance/"+filepath.Base(notice)+" 0644")
	}
	slices.Sort(want)
	if got := files(t, root); !slices.Equal(got, want) {
		t.Errorf("installed\n     %q\nwant %q", got, want)
	}
	text, err := os.ReadFile(filepath.Join(root, "usr/local/lib/systemd/system/sidero-appliance.service"))
	if err != nil || !strings.Contains(string(text), "ExecStart=/opt/metal/bin/sidero-appliance run\n") {
		t.Errorf("the unit does not start the installed program (%v):\n%s", err, text)
	}
	data := filepath.Join(root, "var/lib/sidero-appliance/etcd")
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out := run("uninstall")
		if !strings.Contains(out, "rm -r "+root+"/var/lib/sidero-appliance "+root+"/etc/sidero-appliance") {
			t.Errorf("make uninstall does not say how to remove the data:\n%s", out)
		}
	}
	if got, want := files(t, root), []string{"var/lib/sidero-appliance/etcd 0600"}; !slices.Equal(got, want) {
		t.Errorf("left behind %q, want only the data %q", got, want)
	}
}

// TestBuildingNeedsNoVirtualMachines: a machine that only builds and runs the
// appliance is not made to install what the lab needs.
func TestBuildingNeedsNoVirtualMachines(t *testing.T) {
	plan := func(target string) string {
		t.Helper()
		out, err := tool(t, "make", "make", "--no-print-directory", "-C", "..", "--dry-run", target)
		if err != nil {
			t.Fatalf("make --dry-run %s: %v\n%s", target, err, out)
		}
		return out
	}
	for _, target := range []string{"build", "images"} {
		if out := plan(target); strings.Contains(out, "qemu-system-x86") || !strings.Contains(out, "ca-certificates") {
			t.Errorf("make %s installs more or less than what building needs:\n%s", target, out)
		}
	}
	for _, target := range []string{"demo", "test", "e2e", "deps"} {
		if out := plan(target); !strings.Contains(out, "qemu-system-x86") {
			t.Errorf("make %s does not install what the lab needs:\n%s", target, out)
		}
	}
}

// TestPackageInstallationIsPatient: on a machine that has just started, its own
// daily upgrade often holds the lock of the package manager.
func TestPackageInstallationIsPatient(t *testing.T) {
	for _, file := range []string{"../Makefile", "../.ci/run"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, option := range []string{"-o DPkg::Lock::Timeout=600", "-o Acquire::Retries=3"} {
			if !strings.Contains(string(text), "apt-get -qq") || strings.Count(string(text), "apt-get -qq") != strings.Count(string(text), option) {
				t.Errorf("%s has an apt-get without %s", file, option)
			}
		}
	}
}

// TestNoticeNamesWhatIsCarried compares it with what the images are made of.
func TestNoticeNamesWhatIsCarried(t *testing.T) {
	notice, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile("../assets/debian/ipxe/main.go")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile(`[a-z0-9-]+\.(efi|kpxe)\b`).FindAllString(string(image), -1)
	if len(files) == 0 {
		t.Fatal("assets/debian/ipxe/main.go names no file of iPXE")
	}
	for _, file := range files {
		if !strings.Contains(string(notice), file) {
			t.Errorf("NOTICE does not name %s", file)
		}
	}
	drivers, err := os.ReadFile("../registration-agent/image/drivers.go")
	if err != nil {
		t.Fatal(err)
	}
	packages := regexp.MustCompile(`"firmware-[a-z0-9-]+"`).FindAllString(string(drivers), -1)
	if len(packages) == 0 {
		t.Fatal("registration-agent/image/drivers.go names no package of firmware")
	}
	for _, name := range packages {
		if !strings.Contains(string(notice), name) {
			t.Errorf("NOTICE does not name %s", name)
		}
	}
	if text, err := os.ReadFile("../LICENSES/GPL-2.0.txt"); err != nil || !strings.Contains(string(text), "GNU GENERAL PUBLIC LICENSE\n                       Version 2, June 1991") {
		t.Errorf("LICENSES/GPL-2.0.txt is not the license (%v)", err)
	}
}

func TestInstallWithoutABinarySaysWhatToDo(t *testing.T) {
	out, err := tool(t, "make", "make", "--no-print-directory", "-C", "..", "install", "DESTDIR="+t.TempDir(), "BINARY=/nowhere/sidero-appliance")
	if err == nil || !strings.Contains(out, `run "make build" first`) {
		t.Errorf("make install: %v\n%s", err, out)
	}
}

// files lists the files below root with their modes.
func files(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		found = append(found, fmt.Sprintf("%s %#o", relative, info.Mode().Perm()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
