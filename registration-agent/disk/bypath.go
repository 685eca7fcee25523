package disk

import (
	"path"
	"strconv"
	"strings"
)

// byPath works out the disk's names below /dev/disk/by-path, by the places that homelabs
// and servers put disks: PCI and platform controllers with NVMe, SATA, SCSI, USB,
// virtio and MMC behind them. A SAS expander's disks have none here.
func (n node) byPath(disk Disk) []string {
	parent, bus := n.controller()
	if parent == "" {
		return nil
	}
	switch disk.Transport {
	case NVMe:
		if nsid := n.first("nsid"); nsid != "" {
			return []string{parent + "-nvme-" + nsid}
		}
	case MMC:
		return []string{parent}
	case Virtio:
		if strings.HasPrefix(n.name, "vd") {
			return []string{parent, "virtio-" + parent}
		}
		return prefixed(parent+"-", n.scsiPath())
	case SATA:
		if port := n.ataPort(); port != "" {
			return []string{parent + "-ata-" + port, parent + "-ata-" + port + "." + n.scsiTarget()}
		}
	case USB:
		if bus != "" && n.scsiPath() != "" {
			return []string{parent + "-usb-0:" + bus + "-" + n.scsiPath()}
		}
	case Unknown:
		return prefixed(parent+"-", n.scsiPath())
	}
	return nil
}

// controller is the lowest PCI or platform device above the disk; bus is the place on
// USB below it, PORT.PORT:CONFIGURATION.INTERFACE.
func (n node) controller() (parent, bus string) {
	parts := upwards(n.place)
	for i, part := range parts {
		switch {
		case isPCI(part):
			return "pci-" + part, bus
		case i+1 < len(parts) && parts[i+1] == "platform":
			return "platform-" + part, bus
		case bus == "" && strings.Contains(part, ":") && isDigit(part[0]):
			// 1-2.3:1.0 is on port 3 of the hub on port 2 of bus 1.
			if _, place, ok := strings.Cut(part, "-"); ok {
				bus = place
			}
		}
	}
	return "", ""
}

// isPCI tells whether a directory is that of a PCI device, 0000:00:1f.2.
func isPCI(name string) bool {
	domain, rest, ok := strings.Cut(name, ":")
	if !ok || len(domain) < 4 {
		return false
	}
	bus, slot, ok := strings.Cut(rest, ":")
	device, function, dotted := strings.Cut(slot, ".")
	return ok && dotted && isHex(domain) && isHex(bus) && isHex(device) && isHex(function)
}

func isHex(text string) bool {
	_, err := strconv.ParseUint(text, 16, 32)
	return err == nil
}

// scsiPath is scsi-HOST:CHANNEL:TARGET:LUN. The host's number differs from boot to
// boot; what is used is its place among the hosts of the same controller.
func (n node) scsiPath() string {
	address := n.scsiAddress()
	_, rest, ok := strings.Cut(address, ":")
	if !ok || strings.Count(address, ":") != 3 {
		return ""
	}
	for dir := path.Dir(n.place); dir != "." && dir != "/"; dir = path.Dir(dir) {
		number, ok := strings.CutPrefix(path.Base(dir), "host")
		if !ok {
			continue
		}
		own, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		lowest := own
		for _, sibling := range (node{sys: n.sys, dir: path.Dir(dir)}).names(".") {
			if text, ok := strings.CutPrefix(sibling, "host"); ok {
				if host, err := strconv.Atoi(text); err == nil {
					lowest = min(lowest, host)
				}
			}
		}
		return "scsi-" + strconv.Itoa(own-lowest) + ":" + rest
	}
	return ""
}

// scsiTarget is the TARGET of HOST:CHANNEL:TARGET:LUN.
func (n node) scsiTarget() string {
	if address := strings.Split(n.scsiAddress(), ":"); len(address) == 4 {
		return address[2]
	}
	return "0"
}

// ataPort is the port on its controller, which ataN's own number is not.
func (n node) ataPort() string {
	for dir := path.Dir(n.place); dir != "." && dir != "/"; dir = path.Dir(dir) {
		name := path.Base(dir)
		if rest, ok := strings.CutPrefix(name, "ata"); ok && rest != "" && isDigit(rest[0]) {
			return node{sys: n.sys, dir: dir}.first("ata_port/" + name + "/port_no")
		}
	}
	return ""
}
