package wipe_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/specimen"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// image is a disk image that serves as a disk, and remembers where it was written to.
type image struct {
	*os.File
	written []wipe.Region
}

func openImage(t *testing.T, path string) *image {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &image{File: file}
}

func (i *image) WriteAt(data []byte, offset int64) (int, error) {
	i.written = append(i.written, wipe.Region{Offset: offset, Length: int64(len(data))})
	return i.File.WriteAt(data, offset)
}

func (i *image) Size() (int64, error) {
	info, err := i.Stat()
	return info.Size(), err
}

func (i *image) Flush() error              { return nil }
func (i *image) Rescan() error             { return nil }
func (i *image) Discard(wipe.Region) error { return errors.ErrUnsupported }
func (i *image) Zero(wipe.Region) error    { return errors.ErrUnsupported }
func (i *image) Erase(context.Context, disk.EraseMethod, func(done, total uint64)) error {
	return errors.ErrUnsupported
}

// hostOf is a machine with one disk, which is an image.
func hostOf(d disk.Disk, open func(disk.Disk) (wipe.Device, error)) wipe.Host {
	return wipe.Host{
		Disks:   func() ([]disk.Disk, error) { return []disk.Disk{d}, nil },
		Release: func([]string) error { return nil },
		Open:    open,
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// wipeImage wipes an image fast and returns where it was written to.
func wipeImage(t *testing.T, path string) []wipe.Region {
	t.Helper()
	file := openImage(t, path)
	size, err := file.Size()
	if err != nil {
		t.Fatal(err)
	}
	d := disk.Disk{Name: "sda", Path: "/dev/sda", Serial: "S1", Size: uint64(size)}
	plan, err := wipe.PlanFor([]disk.Disk{d}, wipe.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	host := hostOf(d, func(disk.Disk) (wipe.Device, error) { return file, nil })
	outcomes, err := host.Run(t.Context(), plan, func(wipe.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 1 || outcomes[0].State != wipe.Done || len(outcomes[0].Notes) > 0 {
		t.Fatalf("the outcome is %+v", outcomes)
	}
	return file.written
}

// TestFastWipe wipes everything there is, alone on a disk and in a partition of either
// kind, and asks blkid and wipefs what is left.
func TestFastWipe(t *testing.T) {
	for _, s := range specimen.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			content := s.Make(t)
			gpt, mbr := filepath.Join(t.TempDir(), "gpt"), filepath.Join(t.TempDir(), "mbr")
			offset, length := specimen.GPT(t, gpt, content)
			specimen.MBR(t, mbr, content)
			for path, extents := range map[string][]disk.Extent{
				content: nil,
				gpt:     {{Start: offset, Length: length}},
				mbr:     {{Start: offset, Length: length}, {Start: 1024 * 512, Length: specimen.Size + 64<<20 - 1024*512}},
			} {
				written := wipeImage(t, path)
				wantNothing(t, path, extents)
				wantWritten(t, written, wipe.Regions(sizeOf(t, path), extents))
			}
		})
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// wantNothing asks blkid about the whole disk and each partition that was, as if it had
// been made anew, and wipefs, which reports every signature and not the likeliest.
func wantNothing(t *testing.T, path string, extents []disk.Extent) {
	t.Helper()
	for _, extent := range append(extents, disk.Extent{Length: sizeOf(t, path)}) {
		if found := specimen.Probe(t, path, extent.Start, extent.Length); found != "" {
			t.Errorf("blkid still finds %s at %d", found, extent.Start)
		}
	}
	if out, err := exec.Command("wipefs", "--no-act", "--noheadings", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("wipefs still finds %s (%v)", out, err)
	}
}

// wantWritten checks that exactly the regions were written to.
func wantWritten(t *testing.T, written, regions []wipe.Region) {
	t.Helper()
	slices.SortFunc(written, func(a, b wipe.Region) int { return int(a.Offset - b.Offset) })
	var joined []wipe.Region
	for _, w := range written {
		if n := len(joined) - 1; n >= 0 && joined[n].Offset+joined[n].Length == w.Offset {
			joined[n].Length += w.Length
			continue
		}
		joined = append(joined, w)
	}
	if !slices.Equal(joined, regions) {
		t.Errorf("written to %v, want %v", joined, regions)
	}
}
