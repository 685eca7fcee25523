package wipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

const (
	// writeLength is what is written at a time, and how often the work looks whether it
	// is still wanted.
	writeLength = 1 * mib
	// rangeLength is what a disk is told to zero or discard at a time: a second's work
	// for a disk that turns.
	rangeLength = 128 * mib
)

// job is the wipe of one disk.
type job struct {
	Device
	disk   disk.Disk
	step   Step
	report func(func(*Progress))
	// zeros are what is written and expected.
	zeros []byte
}

func (j *job) note(format string, arguments ...any) {
	j.report(func(p *Progress) { p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...)) })
}

// begin starts a phase that goes through total bytes.
func (j *job) begin(state State, total int64) {
	j.report(func(p *Progress) { p.State, p.Done, p.Total = state, 0, uint64(total) })
}

func (j *job) advance(length int64) {
	j.report(func(p *Progress) { p.Done += uint64(length) })
}

func (j *job) run(ctx context.Context) error {
	size, err := j.Size()
	if err != nil {
		return err
	}
	if size < 0 || uint64(size) != j.step.Disk.Size {
		return fmt.Errorf("the disk has %d bytes, not %d as in the plan: make a new plan", size, j.step.Disk.Size)
	}
	// Before anything is written: where the partitions are is written there.
	regions := Regions(size, j.extents(size))
	everything, err := j.clear(ctx, size, regions)
	if err != nil {
		return err
	}
	if err := j.Flush(); err != nil {
		return fmt.Errorf("write to the disk: %w", err)
	}
	if everything {
		regions = merge(append(regions, samples(size)...))
	}
	if err := j.verify(ctx, regions); err != nil {
		return err
	}
	if err := j.Rescan(); err != nil {
		j.note("the disk is clear, but the kernel still shows its old partitions (%v)", err)
	}
	return nil
}

// extents are the partitions by the tables on the disk and by the kernel. A table that
// cannot be read is no reason to leave the disk as it is.
func (j *job) extents(size int64) []disk.Extent {
	contents, err := disk.ReadContents(j, size, int64(j.disk.LogicalBlock))
	if err != nil {
		j.note("what was on the disk could not be read (%v)", err)
	}
	extents := contents.Extents
	for _, partition := range j.disk.Partitions {
		extents = append(extents, disk.Extent{Number: partition.Number, Start: int64(partition.Start), Length: int64(partition.Size)})
	}
	return extents
}

// clear writes to the disk by the plan's method, or by its fallback. It returns whether
// the whole disk was zeroed.
func (j *job) clear(ctx context.Context, size int64, regions []Region) (bool, error) {
	whole := []Region{{Length: size}}
	method := j.step.Method
	if preparation := j.preparation(method); preparation != nil {
		j.begin(Wiping, size)
		err := preparation(ctx, whole)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			method = j.step.Fallback
			if method != Zero {
				method = Fast
			}
			j.note("%s in place of %s: %v", method, j.step.Method, err)
		}
	}
	j.report(func(p *Progress) { p.Method = method })
	if method == Zero {
		j.begin(Wiping, size)
		return true, j.ranges(ctx, whole, j.zero)
	}
	j.begin(Wiping, total(regions))
	return false, j.pieces(ctx, regions, writeLength, j.write)
}

// preparation is what some methods do before the regions are cleared.
func (j *job) preparation(method Method) func(context.Context, []Region) error {
	switch method {
	case Discard:
		return func(ctx context.Context, whole []Region) error { return j.ranges(ctx, whole, j.Discard) }
	case Secure:
		return func(ctx context.Context, _ []Region) error {
			j.report(func(p *Progress) { p.Erasing = true })
			defer j.report(func(p *Progress) { p.Erasing = false })
			return j.Erase(ctx, j.step.Erase, func(done, total uint64) {
				j.report(func(p *Progress) { p.Done, p.Total = done, total })
			})
		}
	default:
		return nil
	}
}

func (j *job) ranges(ctx context.Context, regions []Region, do func(Region) error) error {
	return j.pieces(ctx, regions, rangeLength, do)
}

// pieces does something to the regions, piece by piece, for as long as it is wanted.
func (j *job) pieces(ctx context.Context, regions []Region, length int64, do func(Region) error) error {
	for _, region := range regions {
		for region.Length > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			piece := Region{Offset: region.Offset, Length: min(length, region.Length)}
			if err := do(piece); err != nil {
				return err
			}
			j.advance(piece.Length)
			region.Offset, region.Length = region.Offset+piece.Length, region.Length-piece.Length
		}
	}
	return nil
}

// zero lets the disk zero a range if it can, and writes zeros if it cannot.
func (j *job) zero(region Region) error {
	err := j.Zero(region)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for at := int64(0); at < region.Length; at += writeLength {
		if err := j.write(between(region.Offset+at, region.Offset+at+writeLength, region.end())); err != nil {
			return err
		}
	}
	return j.Flush()
}

func (j *job) write(region Region) error {
	if _, err := j.WriteAt(j.zeros[:region.Length], region.Offset); err != nil {
		return fmt.Errorf("write %d bytes at %d: %w", region.Length, region.Offset, err)
	}
	return nil
}

// verify reads the regions back.
func (j *job) verify(ctx context.Context, regions []Region) error {
	j.begin(Verifying, total(regions))
	data := make([]byte, writeLength)
	return j.pieces(ctx, regions, writeLength, func(region Region) error {
		if n, err := j.ReadAt(data[:region.Length], region.Offset); n < int(region.Length) {
			return fmt.Errorf("read %d bytes at %d back: %w", region.Length, region.Offset, err)
		}
		if !bytes.Equal(data[:region.Length], j.zeros[:region.Length]) {
			return fmt.Errorf("read %d bytes at %d back: they are not what was written; the disk is broken or write-protected", region.Length, region.Offset)
		}
		return nil
	})
}

func isGone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOMEDIUM)
}

func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) }
func isIO(err error) bool   { return errors.Is(err, unix.EIO) }
