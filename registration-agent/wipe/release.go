package wipe

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// release stops the volumes on the disks of these names, from top to bottom.
func release(sys fs.FS, logger *slog.Logger, names []string) error {
	volumes, err := disk.Volumes(sys)
	if err != nil {
		return err
	}
	var failed []error
	for _, volume := range stopOrder(volumes, names) {
		if err := stop(volume); err != nil {
			failed = append(failed, fmt.Errorf("stop %s: %w", volume.Name, err))
			continue
		}
		logger.Info("volume stopped", "volume", volume.Name, "disks", strings.Join(volume.On, " "))
	}
	return errors.Join(failed...)
}

// stopOrder returns the volumes that lie on the disks, directly or on one another, each
// before what it lies on.
func stopOrder(volumes []disk.Volume, disks []string) []disk.Volume {
	affected := map[string]bool{}
	for _, name := range disks {
		affected[name] = true
	}
	var bottomUp []disk.Volume
	for grown := true; grown; {
		grown = false
		for _, volume := range volumes {
			if !affected[volume.Name] && slices.ContainsFunc(volume.On, func(on string) bool { return affected[on] }) {
				affected[volume.Name], grown = true, true
				bottomUp = append(bottomUp, volume)
			}
		}
	}
	return topDown(bottomUp)
}

// topDown sorts so that nothing comes after what it lies on. One pass after another
// takes what nothing else lies on; volumes that lie on each other, which no kernel
// makes, come last.
func topDown(volumes []disk.Volume) []disk.Volume {
	var sorted []disk.Volume
	for rest := slices.Clone(volumes); len(rest) > 0; {
		covered := map[string]bool{}
		for _, volume := range rest {
			for _, on := range volume.On {
				covered[on] = true
			}
		}
		free := func(v disk.Volume) bool { return !covered[v.Name] }
		if !slices.ContainsFunc(rest, free) {
			return append(sorted, rest...)
		}
		for _, volume := range rest {
			if free(volume) {
				sorted = append(sorted, volume)
			}
		}
		rest = slices.DeleteFunc(rest, free)
	}
	return sorted
}

func stop(volume disk.Volume) error {
	switch {
	case volume.IsMapped():
		return removeMapping(volume.Number)
	case volume.IsArray():
		return stopArray(volume.Path)
	default:
		return errors.New("nothing here knows how; reboot the machine")
	}
}

// stopArrayRequest is STOP_ARRAY of linux uapi raid/md_u.h, _IO(MD_MAJOR, 0x32).
const stopArrayRequest = 0x0932

func stopArray(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.IoctlSetInt(int(file.Fd()), stopArrayRequest, 0)
}

// mapping is struct dm_ioctl of linux uapi dm-ioctl.h.
type mapping struct {
	version     [3]uint32
	dataSize    uint32
	dataStart   uint32
	targetCount uint32
	openCount   int32
	flags       uint32
	eventNumber uint32
	_           uint32
	device      uint64
	name        [128]byte
	uuid        [129]byte
	data        [7]byte
}

// removeRequest is DM_DEV_REMOVE, _IOWR(DM_IOCTL, 4, struct dm_ioctl).
const removeRequest = 0xC138FD04

// removeMapping takes a device-mapper device away. One that is mounted or open stays,
// and says that it is busy.
func removeMapping(number string) error {
	request, err := newRemoval(number)
	if err != nil {
		return err
	}
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), removeRequest, uintptr(unsafe.Pointer(request))); errno != 0 {
		return errno
	}
	return nil
}

// newRemoval names the device by its number, which no quoting of names can garble. The
// version is the oldest that has all this; the kernel accepts any with its major one.
func newRemoval(number string) (*mapping, error) {
	major, minor, ok := strings.Cut(number, ":")
	first, err := strconv.ParseUint(major, 10, 12)
	second, also := strconv.ParseUint(minor, 10, 20)
	if !ok || err != nil || also != nil {
		return nil, fmt.Errorf("%q is no device number", number)
	}
	size := uint32(unsafe.Sizeof(mapping{}))
	return &mapping{
		version: [3]uint32{4, 0, 0}, dataSize: size, dataStart: size,
		device: unix.Mkdev(uint32(first), uint32(second)),
	}, nil
}
