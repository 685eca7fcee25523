package disk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// tables is what the partition tables of a disk say.
type tables struct {
	extents []Extent
	found   []Content
}

func readTables(s *source, sector int64) tables {
	var t tables
	// A GPT shows the size of its sectors, by where it is, which may be another one than
	// the disk's now: some enclosures present a disk with 512 bytes as one with 4096.
	for _, sector := range []int64{512, 4096} {
		for _, header := range gptHeaders(s, sector) {
			t.addGPT(s, header)
		}
	}
	t.addMBR(s, sector)
	slices.SortStableFunc(t.extents, func(a, b Extent) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Length, b.Length))
	})
	t.extents = slices.CompactFunc(t.extents, func(a, b Extent) bool { return a.Start == b.Start && a.Length == b.Length })
	return t
}

// add clips an extent to the disk: a table outlives a disk image's growth and copies.
func (t *tables) add(s *source, extent Extent) bool {
	if extent.Start <= 0 || extent.Start >= s.size || extent.Length <= 0 {
		return false
	}
	extent.Length = min(extent.Length, s.size-extent.Start)
	t.extents = append(t.extents, extent)
	return true
}

// gptHeader is a GUID partition table header (UEFI 2.10 section 5.3.2).
type gptHeader struct {
	sector, entries int64
	count, each     uint32
}

const gptSignature = "EFI PART"

// gptHeaders reads the header at the disk's start and its copy at the end. Checksums
// are not looked at: what a damaged table says is worth clearing as well.
func gptHeaders(s *source, sector int64) []gptHeader {
	var headers []gptHeader
	for _, offset := range []int64{sector, s.size/sector*sector - sector} {
		data := s.at(offset, 92)
		if data == nil || !bytes.HasPrefix(data, []byte(gptSignature)) {
			continue
		}
		header := gptHeader{
			sector:  sector,
			entries: sectors(binary.LittleEndian.Uint64(data[72:]), sector),
			count:   binary.LittleEndian.Uint32(data[80:]),
			each:    binary.LittleEndian.Uint32(data[84:]),
		}
		headers = append(headers, header)
	}
	return headers
}

// sectors turns a sector's number into bytes, or into -1 when that is beyond any disk.
func sectors(number uint64, sector int64) int64 {
	if number > uint64(1<<63-1)/uint64(sector) {
		return -1
	}
	return int64(number) * sector
}

// addGPT reads the entries, of which partitioning programs write 128.
func (t *tables) addGPT(s *source, header gptHeader) {
	const smallest, largest, most = 128, 4096, 1024
	t.found = append(t.found, Content{Type: "gpt"})
	if header.each < smallest || header.each > largest || header.entries < 0 {
		return
	}
	count := int(min(header.count, most))
	data := s.at(header.entries, count*int(header.each))
	for n := range count {
		if data == nil {
			return
		}
		entry := data[n*int(header.each):]
		first, last := binary.LittleEndian.Uint64(entry[32:]), binary.LittleEndian.Uint64(entry[40:])
		start, end := sectors(first, header.sector), sectors(last, header.sector)
		if bytes.Equal(entry[:16], make([]byte, 16)) || start < 0 || end < start {
			continue
		}
		// The last sector belongs to the partition; the sum must not overflow.
		length := end - start
		if length <= 1<<63-1-header.sector {
			length += header.sector
		}
		if t.add(s, Extent{Number: n + 1, Start: start, Length: length}) {
			t.found = append(t.found, Content{Type: "partition", Partition: n + 1, Label: utf16Text(entry[56:128])})
		}
	}
}

// utf16Text reads little-endian UTF-16 up to the first zero.
func utf16Text(data []byte) string {
	var units []uint16
	for n := 0; n+1 < len(data); n += 2 {
		unit := binary.LittleEndian.Uint16(data[n:])
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return clean([]byte(string(utf16.Decode(units))))
}

// mbrEntry is an entry of an MBR's table.
type mbrEntry struct {
	kind         byte
	first, count uint32
}

// readMBR reads the table in the last 66 bytes of a sector. A FAT or NTFS boot sector
// has the same mark; it is told apart by a state byte that no entry has.
func readMBR(data []byte) ([]mbrEntry, bool) {
	if len(data) < 512 || data[510] != 0x55 || data[511] != 0xAA {
		return nil, false
	}
	var entries []mbrEntry
	for n := range 4 {
		entry := data[446+16*n:]
		if entry[0]&0x7F != 0 {
			return nil, false
		}
		entries = append(entries, mbrEntry{
			kind:  entry[4],
			first: binary.LittleEndian.Uint32(entry[8:]),
			count: binary.LittleEndian.Uint32(entry[12:]),
		})
	}
	return entries, true
}

const protectiveMBR = 0xEE

func isExtended(kind byte) bool { return kind == 0x05 || kind == 0x0F || kind == 0x85 }

// addMBR reads the primary partitions and the chain of logical ones.
func (t *tables) addMBR(s *source, sector int64) {
	entries, ok := readMBR(s.at(0, 512))
	if !ok {
		return
	}
	used := false
	for n, entry := range entries {
		start, length := int64(entry.first)*sector, int64(entry.count)*sector
		switch {
		case entry.kind == 0 || entry.kind == protectiveMBR || entry.count == 0:
			continue
		case isExtended(entry.kind):
			t.addLogical(s, start, sector)
		}
		used = t.add(s, Extent{Number: n + 1, Start: start, Length: length}) || used
	}
	if used {
		t.found = append(t.found, Content{Type: "dos"})
	}
}

// addLogical walks the chain of extended boot records. Each holds one partition,
// relative to itself, and the next record, relative to the first.
func (t *tables) addLogical(s *source, first, sector int64) {
	const most = 128
	record := first
	for n := range most {
		entries, ok := readMBR(s.at(record, 512))
		if !ok {
			return
		}
		t.add(s, Extent{Number: 5 + n, Start: record + int64(entries[0].first)*sector, Length: int64(entries[0].count) * sector})
		if !isExtended(entries[1].kind) || entries[1].first == 0 {
			return
		}
		record = first + int64(entries[1].first)*sector
	}
}
