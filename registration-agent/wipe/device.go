package wipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Device is a disk that is open for wiping. What it cannot do it answers with an error
// that is errors.ErrUnsupported.
type Device interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is what the device says now, in bytes.
	Size() (int64, error)
	// Discard tells the device to forget a range.
	Discard(Region) error
	// Zero makes a range read as zeros, without sending them if the device can.
	Zero(Region) error
	// Flush returns when all that was written is on the device, and makes later reads
	// come from there.
	Flush() error
	// Erase makes the disk erase itself and returns when it is done.
	Erase(context.Context, disk.EraseMethod, func(done, total uint64)) error
	// Rescan makes the kernel read the partition table again.
	Rescan() error
}

// blockDevice is a disk of this machine.
type blockDevice struct{ *os.File }

// openDevice opens a disk for nobody else to use: the kernel refuses when it is mounted
// or when md, device mapper or swap holds it.
func openDevice(d disk.Disk) (Device, error) {
	file, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := checkNode(file, d.Number); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return blockDevice{file}, nil
}

// checkNode makes sure that the device node is the disk that sysfs spoke of.
func checkNode(file *os.File, number string) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return fmt.Errorf("%s is no block device", file.Name())
	}
	if is := fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)); is != number {
		return fmt.Errorf("%s is device %s, not %s: the disk was unplugged or renamed", file.Name(), is, number)
	}
	return nil
}

// Requests of linux uapi fs.h that take a range of bytes.
const (
	blkDiscard = 0x1277
	blkZeroOut = 0x127F
)

func (d blockDevice) Size() (int64, error) {
	var size uint64
	if err := d.control(unix.BLKGETSIZE64, unsafe.Pointer(&size)); err != nil {
		return 0, fmt.Errorf("ask for the size: %w", err)
	}
	return int64(min(size, 1<<63-1)), nil
}

func (d blockDevice) Discard(r Region) error { return d.ranged("discard", blkDiscard, r) }
func (d blockDevice) Zero(r Region) error    { return d.ranged("zero", blkZeroOut, r) }

func (d blockDevice) ranged(verb string, request uintptr, r Region) error {
	bounds := [2]uint64{uint64(r.Offset), uint64(r.Length)}
	if err := d.control(request, unsafe.Pointer(&bounds)); err != nil {
		if errors.Is(err, unix.ENOTTY) {
			err = errors.ErrUnsupported
		}
		return fmt.Errorf("%s %d bytes at %d: %w", verb, r.Length, r.Offset, err)
	}
	return nil
}

func (d blockDevice) Flush() error {
	if err := d.Sync(); err != nil {
		return err
	}
	// What the kernel has in memory would answer reads in the disk's place.
	if err := d.control(unix.BLKFLSBUF, nil); err != nil {
		return fmt.Errorf("drop cached data: %w", err)
	}
	return nil
}

func (d blockDevice) Rescan() error {
	if err := d.control(unix.BLKRRPART, nil); err != nil {
		return fmt.Errorf("read the partition table again: %w", err)
	}
	return nil
}

func (d blockDevice) control(request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
