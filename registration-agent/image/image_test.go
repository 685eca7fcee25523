package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"

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
		"kernel/drivers/net/other.ko":        module("depends="),
		"kernel/README":                      []byte("no module"),
	})
	chosen, err := selectModules(fs, []string{"virtio_net", "crc_ccitt"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range chosen {
		names = append(names, m.Name)
	}
	if want := []string{"failover", "net_failover", "virtio_net"}; !slices.Equal(names, want) {
		t.Fatalf("chose %v, want %v", names, want)
	}
	net := chosen[2]
	if !slices.Equal(net.Needs, []string{"net_failover", "failover"}) || !slices.Equal(net.Aliases, []string{"virtio:d00000001v*"}) || net.File != "virtio_net.ko" {
		t.Errorf("virtio_net is %+v", net.Module)
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
			if _, err := selectModules(test.fs, []string{test.wanted}); err == nil || !strings.Contains(err.Error(), test.err) {
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

// TestArchive reads the archive back with a program we did not write.
func TestArchive(t *testing.T) {
	content, err := archive([]byte("the agent"), chosen())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	var order []string
	inodes := map[int64]bool{}
	reader := cpio.NewReader(bytes.NewReader(content))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
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
		found[header.Name] = header.Mode.String() + " " + string(data)
	}
	if !slices.IsSorted(order) {
		t.Errorf("files are not sorted: %v", order)
	}
	for name, want := range map[string]string{
		"init":          "0100755 the agent",
		"dev/console":   "020600 ",
		"sys":           "040555 ",
		"modules/a.ko":  "0100644 module a",
		"modules/b.ko":  "0100644 module b!",
		"modules/index": "0100644 module a a.ko b\nalias a pci:*\nmodule b b.ko\n",
	} {
		if found[name] != want {
			t.Errorf("%s is %q, want %q", name, found[name], want)
		}
	}
	if _, err := archive(nil, chosen()[:1]); err == nil {
		t.Error("an image with a module whose need is missing was built")
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
	for _, name := range wantedModules() {
		fs["kernel/"+name+".ko"] = &fstest.MapFile{Data: module("depends=", "alias=pci:"+name+"*")}
	}
	vmlinuz := t.TempDir() + "/vmlinuz"
	if err := os.WriteFile(vmlinuz, []byte("a kernel"), 0o644); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for range 2 {
		dir := t.TempDir()
		if err := build(t.Context(), kernel{Release: "6.1.0-1-amd64", Vmlinuz: vmlinuz, Modules: fs}, dir); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	for _, name := range []string{"vmlinuz", "initramfs.xz", "manifest.json"} {
		if first, second := read(t, dirs[0]+"/"+name), read(t, dirs[1]+"/"+name); !bytes.Equal(first, second) || len(first) == 0 {
			t.Errorf("%s differs between two builds (%d and %d bytes)", name, len(first), len(second))
		}
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
