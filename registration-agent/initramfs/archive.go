package initramfs

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// File types of stat(2) as a cpio header carries them.
const (
	ModeFile = 0o100000
	ModeDir  = 0o040000
	ModeChar = 0o020000
)

// Entry is a file of an archive.
type Entry struct {
	Name         string // without a slash in front
	Mode         uint32
	Major, Minor uint32 // of a device node
	Content      []byte
}

// Archive writes entries in the "newc" format of cpio that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst), sorted by name, which
// puts directories before what is in them. Owners, times and device numbers are zero and
// inodes count from one, so that equal entries make equal bytes. (The cpio module in
// go.mod cannot write device nodes.)
func Archive(parts ...[]Entry) []byte {
	entries := slices.Concat(parts...)
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	for i, entry := range entries {
		writeEntry(&out, uint32(i+1), entry)
	}
	writeEntry(&out, 0, Entry{Name: "TRAILER!!!"})
	return out.Bytes()
}

func writeEntry(out *bytes.Buffer, inode uint32, entry Entry) {
	links := uint32(1)
	if entry.Mode&ModeDir != 0 {
		links = 2
	}
	out.WriteString("070701")
	for _, field := range []uint32{
		inode, entry.Mode,
		0, 0, // owner, group
		links,
		0, // modification time
		uint32(len(entry.Content)),
		0, 0, // device the file is on
		entry.Major, entry.Minor,
		uint32(len(entry.Name) + 1),
		0, // checksum, unused in this format
	} {
		fmt.Fprintf(out, "%08X", field)
	}
	out.WriteString(entry.Name)
	out.WriteByte(0)
	pad(out)
	out.Write(entry.Content)
	pad(out)
}

// pad aligns to four bytes.
func pad(out *bytes.Buffer) {
	for out.Len()%4 != 0 {
		out.WriteByte(0)
	}
}
