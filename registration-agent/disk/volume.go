package disk

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Volume is a block device that the kernel made out of others.
type Volume struct {
	// Name is the kernel's, md127 or dm-0; Path its device node.
	Name, Path string
	// Number is the major and minor number, as 9:127.
	Number string
	// On are the names of the disks and volumes that it lies on.
	On []string
}

// IsArray tells whether the volume is an md array.
func (v Volume) IsArray() bool { return strings.HasPrefix(v.Name, "md") }

// IsMapped tells whether the volume is device mapper's: LVM, LUKS, multipath.
func (v Volume) IsMapped() bool { return strings.HasPrefix(v.Name, "dm-") }

// Volumes lists the block devices that lie on others.
func Volumes(sys fs.FS) ([]Volume, error) {
	entries, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var volumes []Volume
	for _, entry := range entries {
		n := openNode(sys, entry.Name())
		volume := Volume{Name: n.name, Path: "/dev/" + n.name, Number: n.first("dev")}
		for _, slave := range n.names("slaves") {
			volume.On = append(volume.On, wholeDevice(sys, slave))
		}
		slices.Sort(volume.On)
		volume.On = slices.Compact(volume.On)
		if len(volume.On) > 0 {
			volumes = append(volumes, volume)
		}
	}
	return volumes, nil
}

// wholeDevice returns the device that a partition is on, or the device itself.
func wholeDevice(sys fs.FS, name string) string {
	dir := path.Join("class/block", name)
	if _, err := fs.Stat(sys, path.Join(dir, "partition")); err != nil {
		return name
	}
	place, err := fs.ReadLink(sys, dir)
	if err != nil {
		return name
	}
	return path.Base(path.Dir(place))
}
