package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Content is something that lies on a disk.
type Content struct {
	// Type is what it is, in blkid's words where it has one: gpt, dos, ext4,
	// LVM2_member, linux_raid_member, zfs_member, …; "partition" is an entry of a
	// partition table.
	Type string `json:"type"`
	// Partition is the number of the partition that it is in, or of the entry itself;
	// zero for the disk as a whole.
	Partition int `json:"partition,omitempty"`
	// Label is the name that people gave it: a file system's or GPT partition's label,
	// a RAID array's name, a volume group's, a ZFS pool's.
	Label string `json:"label,omitempty"`
}

// Extent is a part of a disk, in bytes.
type Extent struct {
	Number        int
	Start, Length int64
}

// Contents is what is on a disk.
type Contents struct {
	// Extents are the partitions that any partition table on the disk speaks of, in the
	// order of their starts. Two tables that contradict each other both count.
	Extents []Extent
	Found   []Content
}

// ReadContents looks for partition tables, and for file systems and the like on the
// disk and in its partitions. sector is the disk's logical one in bytes, zero for 512.
// What is damaged or unknown is not found; an error means that the disk could not be
// read.
func ReadContents(r io.ReaderAt, size, sector int64) (Contents, error) {
	s := &source{r: r, size: size}
	tables := readTables(s, cmp.Or(sector, sectorSize))
	found := append([]Content{}, tables.found...)
	found = append(found, signaturesOf(s, Extent{Length: size})...)
	for _, extent := range tables.extents {
		found = append(found, signaturesOf(s, extent)...)
	}
	if s.err != nil {
		return Contents{}, fmt.Errorf("read disk: %w", s.err)
	}
	return Contents{Extents: tables.extents, Found: unique(found)}, nil
}

// unique sorts by partition and drops repeats, which two copies of a table make.
func unique(found []Content) []Content {
	slices.SortStableFunc(found, func(a, b Content) int { return cmp.Compare(a.Partition, b.Partition) })
	seen := map[Content]bool{}
	return slices.DeleteFunc(found, func(c Content) bool {
		again := seen[c]
		seen[c] = true
		return again
	})
}

// source reads from a disk and remembers the first failure, so that looking for one
// thing after another needs no look at errors.
type source struct {
	r    io.ReaderAt
	size int64
	err  error
}

// at returns length bytes, or nil when the disk has none there.
func (s *source) at(offset int64, length int) []byte {
	if offset < 0 || length <= 0 || offset > s.size-int64(length) || s.err != nil {
		return nil
	}
	data := make([]byte, length)
	n, err := s.r.ReadAt(data, offset)
	if n == length {
		return data
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return nil
}

// within reads inside an extent; a negative offset counts from its end.
func (s *source) within(extent Extent, offset int64, length int) []byte {
	if offset < 0 {
		offset += extent.Length
	}
	if offset < 0 || offset > extent.Length-int64(length) {
		return nil
	}
	return s.at(extent.Start+offset, length)
}
