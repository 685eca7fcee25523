package disk

import (
	"bytes"
	"encoding/binary"
	"regexp"
)

// signature is how one kind of content is recognised: by bytes at an offset of the disk
// or partition, a negative one counting from its end.
type signature struct {
	kind   string
	offset int64
	magic  string
	// label reads the label, if there is a way.
	label func(s *source, extent Extent) string
}

// signatures are the kinds that are told by fixed places. Offsets and magic numbers
// are those of each format's header in linux uapi (linux/magic.h, fs/*/), of LVM2's
// format_text, of bcache's and ceph's own sources.
func signatures() []signature {
	return []signature{
		{"ext4", 0x438, "\x53\xEF", labelAt(0x478, 16)},
		{"xfs", 0, "XFSB", labelAt(108, 12)},
		{"btrfs", 0x10040, "_BHRfS_M", labelAt(0x1012B, 256)},
		{"f2fs", 0x400, "\x10\x20\xF5\xF2", utf16LabelAt(0x400+124, 1024)},
		{"vfat", 54, "FAT1", labelAt(43, 11)},
		{"vfat", 82, "FAT32", labelAt(71, 11)},
		{"exfat", 3, "EXFAT   ", nil},
		{"ntfs", 3, "NTFS    ", ntfsLabel},
		{"iso9660", 0x8001, "CD001", labelAt(0x8028, 32)},
		{"udf", 0x8001, "BEA01", nil},
		{"squashfs", 0, "hsqs", nil},
		{"jfs", 0x8000, "JFS1", labelAt(0x8000+152, 16)},
		{"nilfs2", 0x406, "\x34\x34", labelAt(0x400+168, 80)},
		{"reiserfs", 0x10034, "ReIsEr", labelAt(0x10000+100, 16)},
		{"gfs2", 0x10000, "\x01\x16\x19\x70", nil},
		{"apfs", 0x20, "NXSB", nil},
		{"hfsplus", 0x400, "H+\x00\x04", nil},
		{"erofs", 0x400, "\xE2\xE1\xF5\xE0", labelAt(0x400+64, 16)},
		{"bcachefs", 4096 + 24, "\xC6\x85\x73\xF6\x66\xCE\x90\xA9", labelAt(4096+72, 32)},
		{"bcache", 4096 + 24, "\xC6\x85\x73\xF6\x4E\x1A\x45\xCA", labelAt(4096+72, 32)},
		{"crypto_LUKS", 0, "LUKS\xBA\xBE", luksLabel},
		{"ceph_bluestore", 0, "bluestore block device", nil},
		{"LVM2_member", 0x218, "LVM2 001", volumeGroup},
		{"VMFS_volume_member", 0x100000, "\x0D\xD0\x01\xC0", nil},
		{"VMFS", 0x200000, "\x5E\xF1\xAB\x2F", nil},
		{"linux_raid_member", 0, "\xFC\x4E\x2B\xA9\x01\x00\x00\x00", labelAt(32, 32)},
		{"linux_raid_member", 4096, "\xFC\x4E\x2B\xA9\x01\x00\x00\x00", labelAt(4096+32, 32)},
		{"swap", 4096 - 10, "SWAPSPACE2", labelAt(1052, 16)},
		{"swap", 65536 - 10, "SWAPSPACE2", labelAt(1052, 16)},
		{"ddf_raid_member", -512, "\xDE\x11\xDE\x11", nil},
		{"isw_raid_member", -1024, "Intel Raid ISM Cfg Sig. ", labelAt(-1024+88, 16)},
		{"drbd", -4096 + 60, "\x83\x74\x02\x6B", nil},
	}
}

// signaturesOf finds what lies on the disk or on a partition of it.
func signaturesOf(s *source, extent Extent) []Content {
	var found []Content
	add := func(kind, label string) {
		found = append(found, Content{Type: kind, Partition: extent.Number, Label: label})
	}
	for _, signature := range signatures() {
		if string(s.within(extent, signature.offset, len(signature.magic))) != signature.magic {
			continue
		}
		label := ""
		if signature.label != nil {
			label = signature.label(s, extent)
		}
		add(signature.kind, label)
	}
	if label, ok := trailingRAID(s, extent); ok {
		add("linux_raid_member", label)
	}
	if label, ok := zfsPool(s, extent); ok {
		add("zfs_member", label)
	}
	return found
}

func labelAt(offset int64, length int) func(*source, Extent) string {
	return func(s *source, extent Extent) string {
		text, _, _ := bytes.Cut(s.within(extent, offset, length), []byte{0})
		return clean(text)
	}
}

func utf16LabelAt(offset int64, length int) func(*source, Extent) string {
	return func(s *source, extent Extent) string { return utf16Text(s.within(extent, offset, length)) }
}

// luksLabel reads the label that the second version of the header has.
func luksLabel(s *source, extent Extent) string {
	if version := s.within(extent, 6, 2); !bytes.Equal(version, []byte{0, 2}) {
		return ""
	}
	return labelAt(24, 48)(s, extent)
}

// trailingRAID finds an md superblock at the end of a member: version 0.90 in the last
// whole 64 KiB but one, version 1.0 at least 8 KiB from the end, on a multiple of 4 KiB
// (linux uapi raid/md_p.h). 0.90 has no name, and is in the byte order of its machine.
func trailingRAID(s *source, extent Extent) (string, bool) {
	const magic, reserved = 0xA92B4EFC, 64 << 10
	if old := s.within(extent, extent.Length&^(reserved-1)-reserved, 4); old != nil {
		if binary.LittleEndian.Uint32(old) == magic || binary.BigEndian.Uint32(old) == magic {
			return "", true
		}
	}
	const sector = 512
	at := (extent.Length/sector - 16) &^ 7 * sector
	if block := s.within(extent, at, 64); block != nil && binary.LittleEndian.Uint32(block) == magic {
		text, _, _ := bytes.Cut(block[32:], []byte{0})
		return clean(text), true
	}
	return "", false
}

// zfsPool finds one of the four labels of a ZFS pool's member: two at the start, two at
// the end, 256 KiB each (OpenZFS include/sys/vdev_impl.h). Each has an XDR list of
// names and values with the pool's name, and a ring of uberblocks.
func zfsPool(s *source, extent Extent) (string, bool) {
	const label, list, listLength, ring, magic = 256 << 10, 16 << 10, 112 << 10, 128 << 10, 0x00BAB10C
	end := extent.Length &^ (label - 1)
	for _, start := range []int64{0, label, end - 2*label, end - label} {
		if start < 0 {
			continue
		}
		uberblocks := s.within(extent, start+ring, label-ring)
		for at := 0; at < len(uberblocks); at += 1024 {
			if binary.LittleEndian.Uint64(uberblocks[at:]) == magic || binary.BigEndian.Uint64(uberblocks[at:]) == magic {
				return xdrString(s.within(extent, start+list, listLength), "name"), true
			}
		}
	}
	return "", false
}

// xdrString finds a string in an XDR nvlist (RFC 4506, OpenZFS nvpair.c): the pair's
// name as length, text and padding; the type and count; the value as the name.
func xdrString(list []byte, name string) string {
	const stringType = 9
	key := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	key = append(key, name...)
	for len(key)%4 != 0 {
		key = append(key, 0)
	}
	key = binary.BigEndian.AppendUint32(key, stringType)
	key = binary.BigEndian.AppendUint32(key, 1)
	_, rest, ok := bytes.Cut(list, key)
	if !ok || len(rest) < 4 {
		return ""
	}
	length := binary.BigEndian.Uint32(rest)
	if uint64(length) > uint64(len(rest)-4) {
		return ""
	}
	return clean(rest[4 : 4+length])
}

// volumeGroup reads the name of the volume group from the first metadata area of an
// LVM physical volume: the label points to a header, that to a text that starts with
// the name (LVM2 lib/format_text/layout.h).
func volumeGroup(s *source, extent Extent) string {
	const label, labelLength = 0x200, 512
	header := s.within(extent, label, labelLength)
	if header == nil {
		return ""
	}
	// In the header of the physical volume, 40 bytes of identifier and size are
	// followed by two lists of offsets and sizes, the second being metadata areas; each
	// list ends with zeros.
	at := int(binary.LittleEndian.Uint32(header[20:])) + 40
	pair := func() (offset uint64, ok bool) {
		if at < 0 || at+16 > len(header) {
			return 0, false
		}
		offset = binary.LittleEndian.Uint64(header[at:])
		at += 16
		return offset, true
	}
	for offset, ok := pair(); ok && offset != 0; offset, ok = pair() {
		continue
	}
	area, ok := pair()
	if !ok || area == 0 || area > 1<<62 {
		return ""
	}
	metadata := s.within(extent, int64(area), 512)
	if metadata == nil {
		return ""
	}
	text := binary.LittleEndian.Uint64(metadata[40:])
	if text == 0 || text > 1<<40 {
		return ""
	}
	return groupName(s.within(extent, int64(area+text), 256))
}

// groupName reads NAME from "NAME {", by LVM's rules for names.
func groupName(text []byte) string {
	match := regexp.MustCompile(`^([a-zA-Z0-9+_.-]+) \{`).FindSubmatch(text)
	if match == nil {
		return ""
	}
	return string(match[1])
}

// ntfsLabel reads the attribute $VOLUME_NAME (60h) of the fourth record of the master
// file table, $Volume (Linux fs/ntfs3/ntfs.h).
func ntfsLabel(s *source, extent Extent) string {
	boot := s.within(extent, 0, 512)
	if boot == nil {
		return ""
	}
	sector, perCluster := int64(binary.LittleEndian.Uint16(boot[11:])), int64(boot[13])
	table, size := binary.LittleEndian.Uint64(boot[48:]), int64(int8(boot[64]))
	if size < 0 {
		size = 1 << min(-size, 16)
	} else {
		size *= perCluster * sector
	}
	if sector == 0 || perCluster == 0 || table > 1<<40 || size < 512 || size > 64<<10 {
		return ""
	}
	const volume, volumeName, endOfList = 3, 0x60, 0xFFFFFFFF
	record := s.within(extent, int64(table)*perCluster*sector+volume*size, int(size))
	if !bytes.HasPrefix(record, []byte("FILE")) {
		return ""
	}
	rest := record[min(int(binary.LittleEndian.Uint16(record[20:])), len(record)):]
	for len(rest) >= 24 && binary.LittleEndian.Uint32(rest) != endOfList {
		length := int64(binary.LittleEndian.Uint32(rest[4:]))
		if length < 24 || length > int64(len(rest)) {
			break
		}
		if binary.LittleEndian.Uint32(rest) == volumeName {
			from := int64(binary.LittleEndian.Uint16(rest[20:]))
			to := from + int64(binary.LittleEndian.Uint32(rest[16:]))
			if from <= to && to <= length {
				return utf16Text(rest[from:to])
			}
		}
		rest = rest[length:]
	}
	return ""
}
