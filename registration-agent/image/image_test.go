package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

// module makes the smallest ELF file with a .modinfo section.
func module(info ...string) []byte {
	data := []byte(strings.Join(info, "\x00") + "\x00")
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	const header, section = 64, 64
	start := uint64(header)
	var file bytes.Buffer
	write := func(value any) { _ = binary.Write(&file, binary.LittleEndian, value) }
	write(elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: start + uint64(len(data)+len(names)), Ehsize: header, Shentsize: section, Shnum: 3, Shstrndx: 2,
	})
	file.Write(data)
	file.Write(names)
	write(elf.Section64{})
	write(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: start, Size: uint64(len(data))})
	write(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: start + uint64(len(data)), Size: uint64(len(names))})
	return file.Bytes()
}

func tree(files map[string][]byte) fstest.MapFS {
	fs := fstest.MapFS{"modules.builtin": {Data: []byte("kernel/lib/crc-ccitt.ko\n")}}
	for name, content := range files {
		fs[name] = &fstest.MapFile{Data: content}
	}
	return fs
}

func TestSelectModules(t *testing.T) {
	fs := tree(map[string][]byte{
		"kernel/drivers/net/virtio_net.ko":   module("alias=virtio:d00000001v*", "license=GPL", "depends=net-failover,crc-ccitt", "softdep=pre: failover absent post: other"),
		"kernel/drivers/net/net_failover.ko": module("depends="),
		"kernel/net/core/failover.ko":        module("depends="),
		"kernel/drivers/net/other.ko":        module("depends=crc32", "softdep=post: virtio-net"),
		"kernel/lib/crc32.ko":                module("depends=", "softdep=pre: crc32c"),
		"kernel/crypto/crc32c_generic.ko":    module("depends="),
		"kernel/drivers/net/mlx4_core.ko":    module("depends=", "firmware=mlx4/a.bin", "firmware=mlx4/b.bin"),
		"kernel/drivers/net/mlx4_en.ko":      module("depends=mlx4_core"),
		"kernel/README":                      []byte("no module"),
	})
	first, err := selectModules(fs, []string{"net_failover"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := selectModules(fs, []string{"virtio_net", "crc_ccitt", "mlx4_core"}, first)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var names []string
	for _, m := range second {
		names = append(names, m.Name)
		got[m.Name] = fmt.Sprint(m.File, m.Needs, m.Then, m.Aliases, m.firmware)
	}
	want := map[string]string{
		"crc32":          "crc32.ko[crc32c_generic] [] [] []",
		"crc32c_generic": "crc32c_generic.ko[] [] [] []",
		"failover":       "failover.ko[] [] [] []",
		"mlx4_core":      "mlx4_core.ko[] [mlx4_en] [] [mlx4/a.bin mlx4/b.bin]",
		"mlx4_en":        "mlx4_en.ko[mlx4_core] [] [] []",
		"other":          "other.ko[crc32] [virtio_net] [] []",
		"virtio_net":     "virtio_net.ko[net_failover failover] [other] [virtio:d00000001v*] []",
	}
	if !maps.Equal(got, want) || !slices.IsSorted(names) {
		t.Errorf("chose %v, want %v", got, want)
	}
	for name, test := range map[string]struct {
		wanted string
		fs     fstest.MapFS
		err    string
	}{
		"not in this kernel": {"absent", fs, "no module absent"},
		"need missing":       {"a", tree(map[string][]byte{"kernel/a.ko": module("depends=b")}), "no module b"},
		"not ELF":            {"a", tree(map[string][]byte{"kernel/a.ko": bytes.Repeat([]byte("#!/bin/sh\n"), 100)}), "bad magic"},
		"no kernel":          {"a", fstest.MapFS{}, "list modules"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := selectModules(test.fs, []string{test.wanted}, nil); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func chosen() []chosenModule {
	return []chosenModule{
		{Module: modules.Module{Name: "a", File: "a.ko", Needs: []string{"b"}, Aliases: []string{"pci:*"}}, Content: []byte("module a")},
		{Module: modules.Module{Name: "b", File: "b.ko"}, Content: []byte("module b!")},
	}
}

// unpack reads an archive with a program we did not write: each file's mode and
// content, and their order.
func unpack(t *testing.T, archive []byte) (files map[string]string, order []string) {
	t.Helper()
	files = map[string]string{}
	inodes := map[int64]bool{}
	reader := cpio.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, order
		}
		if err != nil {
			t.Fatal(err)
		}
		if inodes[header.Inode] {
			t.Errorf("%s has the inode of another file", header.Name)
		}
		inodes[header.Inode] = true
		if header.ModTime.Unix() != 0 || header.Uid != 0 || header.Guid != 0 {
			t.Errorf("%s shows who built it, and when: %+v", header.Name, header)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, header.Name)
		files[header.Name] = header.Mode.String() + " " + string(data)
	}
}

func TestAgentArchive(t *testing.T) {
	content, err := agentArchive([]byte("the agent"), chosen())
	if err != nil {
		t.Fatal(err)
	}
	found, order := unpack(t, content)
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
	found, order := unpack(t, content)
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

func TestCompress(t *testing.T) {
	content := bytes.Repeat([]byte("some content of a kernel module\n"), 100_000)
	first, err := compress(content)
	if err != nil {
		t.Fatal(err)
	}
	second, err := compress(content)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same content has two forms, %v", err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	if read, err := decoder.DecodeAll(first, nil); err != nil || !bytes.Equal(read, content) {
		t.Errorf("it does not read back: %v", err)
	}
	var header zstd.Header
	// The kernel's decoder refuses windows of more than 128 MiB.
	if err := header.Decode(first); err != nil || header.WindowSize > 8<<20 && !header.SingleSegment {
		t.Errorf("header is %+v, %v", header, err)
	}
}

// TestSameBytes builds the whole image twice.
func TestSameBytes(t *testing.T) {
	fs := tree(map[string][]byte{})
	for _, name := range append(agentModules(), driverModules()...) {
		fs["kernel/"+name+".ko"] = &fstest.MapFile{Data: module("depends=", "alias=pci:"+name+"*")}
	}
	fs["kernel/tg3.ko"].Data = module("depends=", "firmware=tigon/tg3.bin")
	fs["kernel/mlx4_en.ko"] = &fstest.MapFile{Data: module("depends=mlx4_core")}
	firmware := firmwarePackage(t)
	linux := firmwarePackage(t)
	linux.Source = "linux"
	vmlinuz := t.TempDir() + "/vmlinuz"
	write(t, vmlinuz, "a kernel")
	var dirs []string
	for range 2 {
		dir := t.TempDir()
		if err := build(t.Context(), kernel{Package: linux, Release: "6.1.0-1-amd64", Vmlinuz: vmlinuz, Modules: fs}, []debian.Package{firmware}, dir); err != nil {
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
