package disk

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sectorSize is the unit of sysfs sizes, whatever the disk's own sectors are.
const sectorSize = 512

// List returns the disks, in the order of their names. sys and proc are the roots of
// sysfs and procfs; a proc that is nil means nothing is known of mounts.
func List(sys, proc fs.FS) ([]Disk, error) {
	entries, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	uses := readUses(proc)
	var disks []Disk
	for _, entry := range entries {
		node := openNode(sys, entry.Name())
		if !node.isDisk() {
			continue
		}
		disk := node.describe()
		disk.Mounts = uses.of(node, disk)
		disks = append(disks, disk)
	}
	return disks, nil
}

// node is the sysfs directory of a block device.
type node struct {
	sys  fs.FS
	name string
	// dir is block/NAME; place is the real directory, below devices.
	dir, place string
}

func openNode(sys fs.FS, name string) node {
	n := node{sys: sys, name: name, dir: path.Join("block", name)}
	n.place = n.dir
	if target, err := fs.ReadLink(sys, n.dir); err == nil {
		n.place = path.Join("block", target)
	}
	return n
}

// isDisk tells disks of the machine from what the kernel makes out of other devices
// (loop, md, dm, ram, zram, nbd, …), from optical drives and from empty slots. The
// prefixes are Sidero's; the virtual directory holds what it did not know of.
func (n node) isDisk() bool {
	for _, prefix := range []string{"sg", "sr", "loop", "md", "dm-", "ram"} {
		if strings.HasPrefix(n.name, prefix) {
			return false
		}
	}
	// A multipath NVMe disk is virtual too, below devices/virtual/nvme-subsystem; its
	// paths are hidden, and have no device node.
	if strings.HasPrefix(n.place, "devices/virtual/block/") || n.first("hidden") == "1" {
		return false
	}
	return n.number("size") > 0
}

func (n node) describe() Disk {
	disk := Disk{
		Name:          n.name,
		Path:          "/dev/" + strings.ReplaceAll(n.name, "!", "/"),
		Number:        n.first("dev"),
		Size:          bytesOf(n.number("size")),
		Transport:     n.transport(),
		Rotational:    n.first("queue/rotational") == "1",
		ReadOnly:      n.first("ro") == "1",
		Removable:     n.first("removable") == "1",
		Model:         n.first("device/model"),
		Serial:        n.first("device/serial", "serial"),
		WWID:          n.first("wwid", "device/wwid"),
		UUID:          n.first("uuid", "device/uuid"),
		Modalias:      n.first("device/modalias"),
		BusPath:       n.busPath(),
		LogicalBlock:  uint32(min(n.number("queue/logical_block_size"), 1<<31)),
		PhysicalBlock: uint32(min(n.number("queue/physical_block_size"), 1<<31)),
		Discard:       n.number("queue/discard_max_bytes") > 0,
		Holders:       n.names("holders"),
		Controller:    n.first("device/subsysnqn"),
	}
	if disk.Serial == "" {
		disk.Serial = serialOfPage(n.raw("device/vpd_pg80"))
	}
	if disk.Serial == "" && disk.Transport == USB {
		disk.Serial = n.usbSerial()
	}
	n.addPartitions(&disk)
	n.addATA(&disk)
	disk.ByID, disk.ByPath = n.byID(disk), n.byPath(disk)
	return disk
}

// bytesOf turns a number of sectors into bytes, or zero when no disk can be so big.
func bytesOf(sectors uint64) uint64 {
	if sectors > (1<<63-1)/sectorSize {
		return 0
	}
	return sectors * sectorSize
}

func (n node) addPartitions(disk *Disk) {
	entries, err := fs.ReadDir(n.sys, n.dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		at := func(file string) string { return path.Join(entry.Name(), file) }
		number := n.number(at("partition"))
		if number == 0 {
			continue
		}
		disk.Partitions = append(disk.Partitions, Partition{
			Name:   entry.Name(),
			Number: int(min(number, 1<<16)),
			Start:  bytesOf(n.number(at("start"))),
			Size:   bytesOf(n.number(at("size"))),
		})
		disk.Holders = append(disk.Holders, n.names(at("holders"))...)
	}
	slices.Sort(disk.Holders)
	disk.Holders = slices.Compact(disk.Holders)
	slices.SortFunc(disk.Partitions, func(a, b Partition) int { return a.Number - b.Number })
}

// names lists a directory of the device.
func (n node) names(dir string) []string {
	entries, err := fs.ReadDir(n.sys, path.Join(n.dir, dir))
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// first returns the first of the files that says something.
func (n node) first(files ...string) string {
	for _, file := range files {
		if text := clean(n.raw(file)); text != "" {
			return text
		}
	}
	return ""
}

func (n node) number(file string) uint64 {
	number, err := strconv.ParseUint(n.first(file), 10, 64)
	if err != nil {
		return 0
	}
	return number
}

func (n node) raw(file string) []byte {
	content, err := fs.ReadFile(n.sys, path.Join(n.dir, file))
	if err != nil {
		return nil
	}
	return content
}

// busPath is what Talos calls bus_path: the directory two above the device's.
func (n node) busPath() string {
	place, ok := strings.CutPrefix(n.place, "devices")
	if !ok {
		return ""
	}
	return path.Dir(path.Dir(place))
}

// clean makes text of what a device says; firmware pads with blanks and zero bytes.
func clean(content []byte) string {
	text := string(content)
	if !utf8.ValidString(text) {
		return ""
	}
	return strings.Trim(text, " \t\r\n\x00")
}
