package disk

import (
	"fmt"
	"strings"
)

// Transport is how a disk is connected, in the terms of lsblk and Talos.
type Transport string

// The transports that are told apart. A disk behind a RAID controller has none: the
// controller's volume is not on a bus that anybody could name.
const (
	NVMe    Transport = "nvme"
	SATA    Transport = "sata"
	SAS     Transport = "sas"
	USB     Transport = "usb"
	Virtio  Transport = "virtio"
	MMC     Transport = "mmc"
	ISCSI   Transport = "iscsi"
	Fibre   Transport = "fc"
	Unknown Transport = ""
)

// Disk is one disk of the machine. It travels to the appliance as JSON.
type Disk struct {
	// Name is the kernel's, sda or nvme0n1; it may change from boot to boot.
	Name string `json:"name"`
	// Path is the device node.
	Path string `json:"path"`
	// Number is the device's major and minor number, as 8:0.
	Number string `json:"number,omitempty"`
	// Size is in bytes.
	Size       uint64    `json:"size"`
	Transport  Transport `json:"transport,omitempty"`
	Rotational bool      `json:"rotational,omitempty"`
	ReadOnly   bool      `json:"readOnly,omitempty"`
	// Removable is what the kernel says; see RemovableMedium for what it means.
	Removable bool `json:"removable,omitempty"`

	Model  string `json:"model,omitempty"`
	Serial string `json:"serial,omitempty"`
	// WWID is the kernel's spelling of the world-wide name: naa.…, eui.…, nvme.…, t10.…
	WWID     string `json:"wwid,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	Modalias string `json:"modalias,omitempty"`
	// ByID and ByPath are the names that udev would give the disk below /dev/disk.
	ByID   []string `json:"byID,omitempty"`
	ByPath []string `json:"byPath,omitempty"`
	// BusPath is the place in sysfs, in the form of Talos' disk selectors.
	BusPath string `json:"busPath,omitempty"`
	// LogicalBlock and PhysicalBlock are sector sizes in bytes.
	LogicalBlock  uint32 `json:"logicalBlock,omitempty"`
	PhysicalBlock uint32 `json:"physicalBlock,omitempty"`
	// Discard tells that the disk takes orders to forget sectors.
	Discard bool `json:"discard,omitempty"`

	// Partitions are those the kernel knows.
	Partitions []Partition `json:"partitions,omitempty"`
	// Holders are the md, device-mapper and other devices that sit on the disk or on
	// one of its partitions.
	Holders []string `json:"holders,omitempty"`
	// Mounts are the places where a file system of the disk is mounted, and "swap".
	Mounts []string `json:"mounts,omitempty"`

	// Contents is what was found on the disk; Unreadable says why nothing could be.
	Contents   []Content `json:"contents,omitempty"`
	Unreadable string    `json:"unreadable,omitempty"`

	// Erase lists how the disk can erase itself, the preferred way first; NoErase says
	// why it cannot.
	Erase   []Erase `json:"erase,omitempty"`
	NoErase string  `json:"noErase,omitempty"`
	// Controller names what several namespaces of one NVMe disk share.
	Controller string `json:"controller,omitempty"`
}

// Partition is a partition as the kernel sees it. Start and Size are in bytes.
type Partition struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
	Start  uint64 `json:"start"`
	Size   uint64 `json:"size"`
}

// EraseMethod is a command that makes a disk erase itself.
type EraseMethod string

// The commands known; packages nvme and ata have them.
const (
	NVMeFormat        EraseMethod = "nvmeFormat"
	NVMeFormatCrypto  EraseMethod = "nvmeFormatCrypto"
	NVMeSanitizeBlock EraseMethod = "nvmeSanitizeBlock"
	NVMeSanitizeCrypt EraseMethod = "nvmeSanitizeCrypto"
	ATASanitizeBlock  EraseMethod = "ataSanitizeBlock"
	ATASanitizeCrypto EraseMethod = "ataSanitizeCrypto"
	ATASecurity       EraseMethod = "ataSecurityErase"
	ATASecurityEnh    EraseMethod = "ataSecurityEraseEnhanced"
)

// Erase is one way a disk can erase itself.
type Erase struct {
	Method EraseMethod `json:"method"`
	// Wide is set when the command reaches beyond the disk: to all namespaces of its
	// controller.
	Wide bool `json:"wide,omitempty"`
}

// RemovableMedium reports whether a person can take the medium out: a USB stick, a
// card in a reader, a floppy disk.
//
// The kernel's word alone does not do. libata reports every disk in a hot-plug bay as
// removable when the AHCI port says HPCP or ESP (ahci_mark_external_port), which is
// what the bays of many servers say.
func (d Disk) RemovableMedium() bool {
	return d.Removable && (d.Transport == USB || d.Transport == MMC || d.Transport == Unknown)
}

// Labels are the labels of partitions and file systems on the disk, without repeats.
func (d Disk) Labels() []string {
	var labels []string
	seen := map[string]bool{"": true}
	for _, content := range d.Contents {
		if !seen[content.Label] {
			seen[content.Label] = true
			labels = append(labels, content.Label)
		}
	}
	return labels
}

// String describes the disk to a person.
func (d Disk) String() string {
	parts := []string{d.Path, FormatSize(d.Size)}
	if d.Model != "" {
		parts = append(parts, d.Model)
	}
	if d.Serial != "" {
		parts = append(parts, "serial "+d.Serial)
	} else if d.WWID != "" {
		parts = append(parts, "wwid "+d.WWID)
	}
	return strings.Join(parts, ", ")
}

// FormatSize writes bytes as disk makers do, in powers of a thousand.
func FormatSize(size uint64) string {
	const thousand = 1000
	if size < thousand {
		return fmt.Sprintf("%d B", size)
	}
	value, unit := float64(size)/thousand, 0
	for value >= thousand {
		value /= thousand
		unit++
	}
	return fmt.Sprintf("%.4g %cB", value, "kMGTPE"[unit])
}
