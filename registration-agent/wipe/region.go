package wipe

import (
	"cmp"
	"math"
	"slices"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Region is a part of a disk, in bytes.
type Region struct {
	Offset, Length int64
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// The start of a disk or partition holds, by where it ends: partition tables and boot
// sectors (under 64 KiB), the superblocks of file systems, of md 1.1 and 1.2, bcache,
// swap (66 KiB), two ZFS labels (512 KiB), LVM's metadata (1 MiB) and, right behind it,
// what is in the first volume; VMFS (2 MiB); the second header of LUKS2 (8 MiB,
// cryptsetup's hdr_offset and its greatest length).
const headLength = 8 * mib

// The end holds the second GPT (33 sectors), md 0.90 and 1.0 (128 KiB), two ZFS labels
// (512 KiB and what is left of 256), the metadata of DDF, Intel and other firmware
// RAID (Promise's goes back 3087 sectors), the second superblock of NILFS2 and UDF's
// anchor.
const tailLength = 2 * mib

// farLength clears the largest thing at a far offset.
const farLength = 64 * kib

// farOffsets are copies in the middle of a disk or partition.
func farOffsets() []int64 {
	return []int64{
		// btrfs (super_offset in its disk-io.c).
		64 * mib, 256 * gib, 1024 * 1024 * gib,
		// ceph's bluestore since Squid (bdev_label_positions in BlueStore.cc).
		1 * gib, 10 * gib, 100 * gib, 1000 * gib,
	}
}

// Regions returns what a fast wipe clears on a disk of the given size: both ends of the
// disk and of each partition on it, and the few places between them where formats keep
// copies. They are in order, do not overlap, and lie within the disk.
//
// Afterwards no partition table, file system, RAID, LVM, ZFS, bcache or ceph is found
// on the disk, nor in partitions that are made anew where the old ones were. Data, and
// the copies of an ext4 or XFS superblock that only repair programs look for, remain.
func Regions(size int64, extents []disk.Extent) []Region {
	var regions []Region
	for _, extent := range append([]disk.Extent{{Length: size}}, extents...) {
		start := min(max(extent.Start, 0), max(size, 0))
		end := start + min(max(extent.Length, 0), size-start)
		regions = append(regions,
			between(start, add(start, headLength), end),
			between(max(start, end-tailLength), end, end))
		for _, offset := range farOffsets() {
			from := add(start, offset)
			regions = append(regions, between(from, add(from, farLength), end))
		}
	}
	return merge(regions)
}

// add adds without overflow.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// between is the region from one offset to another, as far as it is before the end.
func between(from, to, end int64) Region {
	to = min(to, end)
	return Region{Offset: from, Length: max(0, to-from)}
}

func (r Region) end() int64 { return r.Offset + r.Length }

// merge sorts, drops empty regions, and joins those that overlap or touch.
func merge(regions []Region) []Region {
	regions = slices.DeleteFunc(regions, func(r Region) bool { return r.Length == 0 })
	slices.SortFunc(regions, func(a, b Region) int { return cmp.Compare(a.Offset, b.Offset) })
	var merged []Region
	for _, region := range regions {
		if n := len(merged) - 1; n >= 0 && region.Offset <= merged[n].end() {
			merged[n].Length = max(merged[n].end(), region.end()) - merged[n].Offset
			continue
		}
		merged = append(merged, region)
	}
	return merged
}

func total(regions []Region) int64 {
	var sum int64
	for _, region := range regions {
		sum += region.Length
	}
	return sum
}

// samples are places all over a disk, to look whether it is zero throughout.
func samples(size int64) []Region {
	const count, length = 256, 64 * kib
	var regions []Region
	for n := range int64(count) {
		regions = append(regions, between(size/count*n, size/count*n+length, size))
	}
	return merge(regions)
}
