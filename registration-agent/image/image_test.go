package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs/initramfstest"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

func chosen() []initramfs.Module {
	return []initramfs.Module{
		{Module: modules.Module{Name: "a", File: "a.ko", Needs: []string{"b"}, Aliases: []string{"pci:*"}}, Content: []byte("module a")},
		{Module: modules.Module{Name: "b", File: "b.ko"}, Content: []byte("module b!")},
	}
}

func TestAgentArchive(t *testing.T) {
	content, err := agentArchive([]byte("the agent"), chosen())
	if err != nil {
		t.Fatal(err)
	}
	found, order := initramfstest.Unpack(t, content)
	if !slices.IsSorted(order) {
		t.Errorf("files are not sorted: %v", order)
	}
	for name, want := range map[string]string{
		"init":                "0100755 the agent",
		"dev/console":         "020600 ",
		"sys":                 "040555 ",
		"modules/a.ko":        "0100644 module a",
		"modules/b.ko":        "0100644 module b!",
		"modules/agent.index": "0100644 module a a.ko b\nalias a pci:*\nmodule b b.ko\n",
	} {
		if found[name] != want {
			t.Errorf("%s is %q, want %q", name, found[name], want)
		}
	}
	if _, err := agentArchive(nil, chosen()[:1]); err == nil {
		t.Error("an image with a module whose need is missing was built")
	}
}

func TestDriversArchive(t *testing.T) {
	firmware := []firmwareFile{{Name: "a/one.bin", content: []byte("first")}, {Name: "a/b/two.bin", content: []byte("second")}}
	content, err := driversArchive(chosen()[:1], chosen()[1:], firmware)
	if err != nil {
		t.Fatal(err)
	}
	found, order := initramfstest.Unpack(t, content)
	want := map[string]string{
		"lib":                      "040755 ",
		"lib/firmware":             "040755 ",
		"lib/firmware/a":           "040755 ",
		"lib/firmware/a/b":         "040755 ",
		"lib/firmware/a/b/two.bin": "0100644 second",
		"lib/firmware/a/one.bin":   "0100644 first",
		"modules":                  "040755 ",
		"modules/a.ko":             "0100644 module a",
		"modules/drivers.index":    "0100644 module a a.ko b\nalias a pci:*\n",
	}
	if !maps.Equal(found, want) || !slices.IsSorted(order) {
		t.Errorf("holds %q in the order %v", found, order)
	}
	if _, err := driversArchive(chosen()[:1], nil, nil); err == nil {
		t.Error("an image with a module whose need is nowhere was built")
	}
}

// TestSameBytes builds the whole image twice.
func TestSameBytes(t *testing.T) {
	fs := initramfstest.Tree(map[string][]byte{})
	for _, name := range append(agentModules(), driverModules()...) {
		fs["kernel/"+name+".ko"] = &fstest.MapFile{Data: initramfstest.Module("depends=", "alias=pci:"+name+"*")}
	}
	fs["kernel/tg3.ko"].Data = initramfstest.Module("depends=", "firmware=tigon/tg3.bin")
	fs["kernel/mlx4_en.ko"] = &fstest.MapFile{Data: initramfstest.Module("depends=mlx4_core")}
	firmware := firmwarePackage(t)
	linux := firmwarePackage(t)
	linux.Source = "linux"
	vmlinuz := t.TempDir() + "/vmlinuz"
	write(t, vmlinuz, "a kernel")
	var dirs []string
	for range 2 {
		dir := t.TempDir()
		if err := build(t.Context(), initramfs.Kernel{Package: linux, Release: "6.1.0-1-amd64", Vmlinuz: vmlinuz, Modules: fs}, []debian.Package{firmware}, dir); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	for _, name := range []string{"vmlinuz", agentInitramfs, driversInitramfs, "linux.copyright", "firmware-nonfree.copyright", "manifest.json"} {
		if first, second := read(t, dirs[0]+"/"+name), read(t, dirs[1]+"/"+name); !bytes.Equal(first, second) || len(first) == 0 {
			t.Errorf("%s differs between two builds (%d and %d bytes)", name, len(first), len(second))
		}
	}
	manifest := string(read(t, dirs[0]+"/manifest.json"))
	for _, part := range []string{`"name": "drivers.zst"`, `"package": "firmware-misc"`, `"name": "tigon/tg3.bin"`, `"licence": "binary-redist-firmware"`, `"mlx4_en"`} {
		if !strings.Contains(manifest, part) {
			t.Errorf("the manifest does not say %s: %s", part, manifest)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
