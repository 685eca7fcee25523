// Package initramfstest makes kernel modules, and reads archives, for tests of what is
// made of them.
package initramfstest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cavaliergopher/cpio"
)

// Module makes the smallest ELF file with a .modinfo section.
func Module(info ...string) []byte {
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

// Tree is a module tree with those files, and with crc_ccitt built in.
func Tree(files map[string][]byte) fstest.MapFS {
	fs := fstest.MapFS{"modules.builtin": {Data: []byte("kernel/lib/crc-ccitt.ko\n")}}
	for name, content := range files {
		fs[name] = &fstest.MapFile{Data: content}
	}
	return fs
}

// Unpack reads an archive with a program we did not write: each file's mode and
// content, and their order.
func Unpack(t testing.TB, archive []byte) (files map[string]string, order []string) {
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
