package inventory

import (
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Storage describes disks in the terms of Sidero's protocol. What a disk is called, by its
// serial number or otherwise, is what wipes go by: the same list says both.
func Storage(sys fs.FS, disks []disk.Disk) *api.StorageInformation {
	info := &api.StorageInformation{DeviceCount: uint32(len(disks))}
	for _, d := range disks {
		node := attributes{sys: sys, dir: path.Join("block", d.Name)}
		info.TotalSize += d.Size
		info.Devices = append(info.Devices, &api.StorageDevice{
			Type:       storageType(d),
			Size:       d.Size,
			Model:      d.Model,
			Serial:     d.Serial,
			Name:       node.first("device/name"),
			DeviceName: d.Path,
			Uuid:       d.UUID,
			Wwid:       d.WWID,
		})
	}
	return info
}

func storageType(d disk.Disk) api.StorageType {
	switch {
	case d.Transport == disk.NVMe:
		return api.StorageType_NVMe
	case d.Transport == disk.MMC:
		return api.StorageType_SD
	case d.Rotational:
		return api.StorageType_HDD
	default:
		return api.StorageType_SSD
	}
}

// attributes reads the sysfs directory of a device.
type attributes struct {
	sys fs.FS
	dir string
}

// first returns the first of the files that says something.
func (a attributes) first(files ...string) string {
	for _, file := range files {
		content, err := fs.ReadFile(a.sys, path.Join(a.dir, file))
		if err != nil {
			continue
		}
		if text := clean(content); text != "" {
			return text
		}
	}
	return ""
}

// clean makes text of what a device says; protobuf carries UTF-8 only, and firmware
// pads with blanks and zero bytes.
func clean(content []byte) string {
	text := string(content)
	if !utf8.ValidString(text) {
		return ""
	}
	return strings.Trim(text, " \t\r\n\x00")
}
