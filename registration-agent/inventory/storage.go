package inventory

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// sectorSize is the unit of sysfs sizes, whatever the disk's own sectors are.
const sectorSize = 512

// notDisks are the names of block devices that are no disks of the machine: SCSI
// generic, optical drives, and what the kernel makes out of other devices.
func notDisks() []string { return []string{"sg", "sr", "loop", "md", "dm-", "ram"} }

// Storage describes the disks, in the order of their names.
func Storage(sys fs.FS) (*api.StorageInformation, error) {
	entries, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	info := &api.StorageInformation{}
	for _, entry := range entries {
		if disk := disk(sys, entry.Name()); disk != nil {
			info.Devices = append(info.Devices, disk)
			info.TotalSize += disk.GetSize()
		}
	}
	info.DeviceCount = uint32(len(info.Devices))
	return info, nil
}

// disk describes a block device, or returns nil if it is none that counts.
func disk(sys fs.FS, name string) *api.StorageDevice {
	for _, prefix := range notDisks() {
		if strings.HasPrefix(name, prefix) {
			return nil
		}
	}
	attributes := attributes{sys: sys, dir: path.Join("block", name)}
	// The paths of a multipath NVMe namespace are disks without a device node.
	if attributes.first("hidden") == "1" {
		return nil
	}
	sectors, err := strconv.ParseUint(attributes.first("size"), 10, 64)
	if err != nil || sectors == 0 {
		return nil
	}
	return &api.StorageDevice{
		Type:       storageType(name, attributes.first("queue/rotational")),
		Size:       sectors * sectorSize,
		Model:      attributes.first("device/model"),
		Serial:     attributes.serial(),
		Name:       attributes.first("device/name"),
		DeviceName: "/dev/" + name,
		Uuid:       attributes.first("uuid", "device/uuid"),
		Wwid:       attributes.first("wwid", "device/wwid"),
	}
}

func storageType(name, rotational string) api.StorageType {
	switch {
	case strings.Contains(name, "nvme"):
		return api.StorageType_NVMe
	case strings.Contains(name, "mmc"):
		return api.StorageType_SD
	case rotational == "1":
		return api.StorageType_HDD
	default:
		return api.StorageType_SSD
	}
}

// attributes reads the sysfs directory of a block device.
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

// serial reads the file that NVMe, MMC and virtio disks have, or the page that SCSI
// and SATA disks answer an inquiry with.
func (a attributes) serial() string {
	if serial := a.first("device/serial", "serial"); serial != "" {
		return serial
	}
	page, err := fs.ReadFile(a.sys, path.Join(a.dir, "device/vpd_pg80"))
	if err != nil {
		return ""
	}
	return serialOfPage(page)
}

// serialOfPage reads the unit serial number page (SPC-4 section 7.8.15): two bytes,
// the length in two more, the number.
func serialOfPage(page []byte) string {
	const header = 4
	if len(page) < header || page[1] != 0x80 {
		return ""
	}
	length := int(page[2])<<8 | int(page[3])
	return clean(page[header:min(header+length, len(page))])
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
