package disk

import "strings"

// transport tells it from the kernel's names of the devices above the disk in sysfs.
func (n node) transport() Transport {
	switch {
	case strings.HasPrefix(n.name, "nvme"):
		return NVMe
	case strings.HasPrefix(n.name, "vd"):
		return Virtio
	case strings.HasPrefix(n.name, "mmcblk"):
		return MMC
	}
	// From the disk upwards: a SATA disk in a USB enclosure is a USB disk, and a disk
	// behind a SAS adapter has no ataN above it even when it is a SATA one.
	for _, part := range upwards(n.place) {
		for _, sign := range []struct {
			prefix    string
			transport Transport
		}{
			{"end_device-", SAS}, {"session", ISCSI}, {"rport-", Fibre},
			{"ata", SATA}, {"usb", USB}, {"virtio", Virtio},
		} {
			rest, ok := strings.CutPrefix(part, sign.prefix)
			if ok && rest != "" && isDigit(rest[0]) {
				return sign.transport
			}
		}
	}
	return Unknown
}

// upwards returns the directories of a path from the last to the first.
func upwards(place string) []string {
	parts := strings.Split(place, "/")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
