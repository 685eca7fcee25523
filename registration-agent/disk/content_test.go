package disk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/specimen"
)

func read(t *testing.T, path string) disk.Contents {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	contents, err := disk.ReadContents(file, info.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// TestContents finds what the real tools made, and its label, on a disk and in
// partitions.
func TestContents(t *testing.T) {
	for _, s := range specimen.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			content := s.Make(t)
			want := disk.Content{Type: s.Type}
			if s.Labelled {
				want.Label = specimen.Label
			}
			if s.Name == "luks2-second" {
				return // found by nothing but its clearing, which package wipe tests
			}
			if got := read(t, content); !slices.Contains(got.Found, want) || len(got.Extents) > 0 {
				t.Errorf("found is %+v, want %+v", got, want)
			}
			gpt, mbr := filepath.Join(t.TempDir(), "gpt"), filepath.Join(t.TempDir(), "mbr")
			offset, length := specimen.GPT(t, gpt, content)
			specimen.MBR(t, mbr, content)

			want.Partition = 1
			got := read(t, gpt)
			for _, want := range []disk.Content{want, {Type: "gpt"}, {Type: "partition", Partition: 1, Label: specimen.Label}} {
				if !slices.Contains(got.Found, want) {
					t.Errorf("found is %+v, want %+v", got.Found, want)
				}
			}
			if !slices.Equal(got.Extents, []disk.Extent{{Number: 1, Start: offset, Length: length}}) {
				t.Errorf("the partitions are %+v", got.Extents)
			}

			want.Partition = 5
			got = read(t, mbr)
			if !slices.Contains(got.Found, want) || !slices.Contains(got.Found, disk.Content{Type: "dos"}) {
				t.Errorf("found is %+v, want %+v", got.Found, want)
			}
			if !slices.Contains(got.Extents, disk.Extent{Number: 5, Start: offset, Length: length}) {
				t.Errorf("the partitions are %+v", got.Extents)
			}
		})
	}
}

// TestSecondGPT: the table at the end is found when the first is gone.
func TestSecondGPT(t *testing.T) {
	path, content := filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "content")
	specimen.Blank(t, content, specimen.Size)
	offset, length := specimen.GPT(t, path, content)
	specimen.Write(t, path, 0, make([]byte, 34*512))
	if got := read(t, path); !slices.Equal(got.Extents, []disk.Extent{{Number: 1, Start: offset, Length: length}}) {
		t.Errorf("the partitions are %+v", got)
	}
}

// TestUnreadable tells a disk that fails from one with nothing on it.
func TestUnreadable(t *testing.T) {
	broken := errors.New("broken")
	if _, err := disk.ReadContents(failing{broken}, 1<<30, 512); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if got, err := disk.ReadContents(bytes.NewReader(nil), 0, 0); err != nil || len(got.Found) > 0 {
		t.Errorf("found is %+v (%v)", got, err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// at puts bytes into a disk of zeros, for seeds.
func at(size int, places map[int]string) []byte {
	data := make([]byte, size)
	for place, text := range places {
		copy(data[place:], text)
	}
	return data
}

// FuzzContents: no disk's bytes make reading fail, and partitions lie on the disk.
func FuzzContents(f *testing.F) {
	entry := make([]byte, 128)
	entry[0] = 1
	binary.LittleEndian.PutUint64(entry[32:], 40)
	binary.LittleEndian.PutUint64(entry[40:], 1<<63)
	header := make([]byte, 92)
	copy(header, "EFI PART")
	binary.LittleEndian.PutUint64(header[72:], 2)
	binary.LittleEndian.PutUint32(header[80:], 2)
	binary.LittleEndian.PutUint32(header[84:], 128)
	f.Add(at(64<<10, map[int]string{512: string(header), 1024: string(entry), 510: "\x55\xAA"}))
	f.Add(at(64<<10, map[int]string{446: "\x00\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff", 510: "\x55\xAA", 1022: "\x55\xAA"}))
	f.Add(at(64<<10, map[int]string{3: "NTFS    ", 11: "\x00\x02\x01", 48: "\x04", 64: "\xF6", 2048 + 3*1024: "FILE", 2048 + 3*1024 + 20: "\x38\x00", 2048 + 3*1024 + 0x38: "\x60\x00\x00\x00\x30\x00\x00\x00"}))
	f.Add(at(64<<10, map[int]string{0x200: "LABELONE", 0x214: "\x20", 0x218: "LVM2 001", 0x258: "\x01", 0x278: "\x00\x10"}))
	f.Add(at(600<<10, map[int]string{128 << 10: "\x0c\xb1\xba\x00\x00\x00\x00\x00", 16 << 10: "\x00\x00\x00\x04name\x00\x00\x00\x09\x00\x00\x00\x01\xff\xff\xff\xff"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		size := int64(len(data))
		contents, err := disk.ReadContents(bytes.NewReader(data), size, 512)
		if err != nil {
			t.Fatal(err)
		}
		for _, extent := range contents.Extents {
			if extent.Start <= 0 || extent.Length <= 0 || extent.Start > size-extent.Length {
				t.Errorf("the partition %+v is not on a disk of %d bytes", extent, size)
			}
		}
	})
}
