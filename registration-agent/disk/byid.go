package disk

import (
	"fmt"
	"path"
	"strings"
)

// byID works out the disk's names below /dev/disk/by-id.
func (n node) byID(disk Disk) []string {
	switch {
	case strings.HasPrefix(n.name, "nvme"):
		return n.nvmeIDs(disk)
	case strings.HasPrefix(n.name, "vd"):
		return prefixed("virtio-", encodeID(disk.Serial))
	case strings.HasPrefix(n.name, "mmcblk"):
		if name := n.first("device/name"); name != "" && disk.Serial != "" {
			return []string{"mmc-" + encodeID(name) + "_" + encodeID(disk.Serial)}
		}
		return nil
	}
	if disk.Transport == USB {
		return n.usbIDs(disk)
	}
	if identity, ok := ataOfPage(n.raw("device/vpd_pg89")); ok && n.first("device/vendor") == "ATA" {
		names := prefixed("ata-", joinID(identity.Model, identity.Serial))
		if identity.WWN != 0 {
			names = append(names, fmt.Sprintf("wwn-0x%016x", identity.WWN))
		}
		return names
	}
	return n.scsiIDs(disk)
}

func (n node) nvmeIDs(disk Disk) []string {
	names := prefixed("nvme-", encodeID(n.first("wwid")))
	if name := joinID(disk.Model, disk.Serial); name != "" {
		names = append(names, "nvme-"+name)
		if nsid := n.first("nsid"); nsid != "" {
			names = append(names, "nvme-"+name+"_"+nsid)
		}
	}
	return names
}

// usbIDs are of the disk's SCSI answers and of its USB device's serial number.
func (n node) usbIDs(disk Disk) []string {
	name := joinID(n.first("device/vendor"), disk.Model)
	if name == "" {
		return nil
	}
	if serial := n.usbSerial(); serial != "" {
		name += "_" + encodeID(serial)
	}
	// The last directory of the SCSI device is HOST:CHANNEL:TARGET:LUN.
	address := strings.Split(n.scsiAddress(), ":")
	if len(address) != 4 {
		return nil
	}
	return []string{"usb-" + name + "-" + address[2] + ":" + address[3]}
}

// usbSerial looks in the directories above the disk for the USB device.
func (n node) usbSerial() string {
	for dir := path.Dir(n.place); dir != "." && dir != "/"; dir = path.Dir(dir) {
		device := node{sys: n.sys, dir: dir}
		if device.first("idVendor") != "" {
			return device.first("serial")
		}
	}
	return ""
}

// scsiAddress is the directory of the SCSI device, HOST:CHANNEL:TARGET:LUN.
func (n node) scsiAddress() string { return path.Base(path.Dir(path.Dir(n.place))) }

// scsiIDs prefers designators as scsi_id does.
func (n node) scsiIDs(disk Disk) []string {
	vendor, model := n.first("device/vendor"), disk.Model
	var names []string
	designators := designatorsOfPage(n.raw("device/vpd_pg83"))
	for _, kind := range []byte{designatorNAA, designatorEUI64, designatorT10, designatorVendor} {
		name := ""
		for _, d := range designators {
			if d.kind != kind {
				continue
			}
			switch {
			case kind == designatorNAA && !d.text:
				name = "3" + d.hex()
				names = append(names, "wwn-0x"+d.hex())
			case kind == designatorEUI64 && !d.text:
				name = "2" + d.hex()
			case kind == designatorT10 && d.text:
				name = "1" + encodeID(clean(d.value))
			case kind == designatorVendor && d.text:
				// Vendors reuse these: the disk's maker and model make them unique.
				name = "0" + encodeID(pad(vendor, 8)+pad(model, 16)+clean(d.value))
			}
			if name != "" {
				break
			}
		}
		if name != "" {
			names = append(names, "scsi-"+name)
			break
		}
	}
	if serial := serialOfPage(n.raw("device/vpd_pg80")); serial != "" && vendor != "" {
		names = append(names, "scsi-S"+encodeID(pad(vendor, 8)+pad(model, 16)+serial))
	}
	return names
}

// pad lengthens a text to its place in an INQUIRY answer.
func pad(text string, width int) string { return fmt.Sprintf("%-*s", width, text) }

func prefixed(prefix, name string) []string {
	if name == "" {
		return nil
	}
	return []string{prefix + name}
}

// joinID makes MODEL_SERIAL, or nothing when either is missing.
func joinID(model, serial string) string {
	if model == "" || serial == "" {
		return ""
	}
	return encodeID(model) + "_" + encodeID(serial)
}

// encodeID writes a text as udev does in names of links: runs of blanks become one
// underscore, and so does each character that is not allowed.
func encodeID(text string) string {
	const allowed = "#+-.:=@_"
	var name strings.Builder
	for _, r := range strings.Join(strings.Fields(text), "_") {
		isWord := r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if isWord || r >= 0x80 || strings.ContainsRune(allowed, r) {
			name.WriteRune(r)
		} else {
			name.WriteByte('_')
		}
	}
	return name.String()
}
