package disk

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/ata"
)

// vpdPage returns what a vital product data page holds behind its header (SPC-4
// section 7.8): a byte of device type, the page's code, the length in two bytes.
func vpdPage(page []byte, code byte) []byte {
	const header = 4
	if len(page) < header || page[1] != code {
		return nil
	}
	return page[header:min(header+int(binary.BigEndian.Uint16(page[2:])), len(page))]
}

// serialOfPage reads the unit serial number page (SPC-4 section 7.8.15).
func serialOfPage(page []byte) string { return clean(vpdPage(page, 0x80)) }

// Types of designators (SPC-4 section 7.8.6).
const (
	designatorVendor = 0
	designatorT10    = 1
	designatorEUI64  = 2
	designatorNAA    = 3
)

// designator is a name that a SCSI disk gives itself.
type designator struct {
	kind byte
	// text says whether value is text, as against bytes.
	text  bool
	value []byte
}

// designatorsOfPage reads the names of the logical unit, as against those of its
// ports, in the device identification page.
func designatorsOfPage(page []byte) []designator {
	const header, binaryCode, unit = 4, 1, 0
	rest := vpdPage(page, 0x83)
	var found []designator
	for len(rest) >= header {
		size := header + int(rest[3])
		if size > len(rest) {
			break
		}
		if rest[1]>>4&0x03 == unit && size > header {
			found = append(found, designator{kind: rest[1] & 0x0F, text: rest[0]&0x0F != binaryCode, value: rest[header:size]})
		}
		rest = rest[size:]
	}
	return found
}

func (d designator) hex() string { return hex.EncodeToString(d.value) }

// ataOfPage reads the ATA information page (SAT-4 section 12.4.2), which holds what the
// disk itself answers to IDENTIFY DEVICE.
func ataOfPage(page []byte) (ata.Identity, bool) {
	const offset = 60
	if vpdPage(page, 0x89) == nil || len(page) < offset+ata.IdentifyLength {
		return ata.Identity{}, false
	}
	identity, err := ata.ParseIdentity(page[offset : offset+ata.IdentifyLength])
	return identity, err == nil
}

// addATA adds what only ATA disks say. Their SCSI model has room for 16 characters,
// the disk's own for 40; the short one stays in Model, which is what Sidero and Talos
// show.
func (n node) addATA(disk *Disk) {
	identity, ok := ataOfPage(n.raw("device/vpd_pg89"))
	if !ok {
		return
	}
	if disk.Serial == "" {
		disk.Serial = identity.Serial
	}
	disk.Erase, disk.NoErase = ataErase(identity)
}

// ataErase lists how the disk can erase itself. Sanitize comes first: it needs no
// password that a power failure could leave behind, and firmware rarely freezes it.
func ataErase(identity ata.Identity) ([]Erase, string) {
	var ways []Erase
	if identity.SanitizeBlock {
		ways = append(ways, Erase{Method: ATASanitizeBlock})
	}
	if identity.SanitizeCrypto {
		ways = append(ways, Erase{Method: ATASanitizeCrypto})
	}
	reason := "the disk has no command to erase itself"
	switch {
	case identity.Frozen:
		reason = "the firmware has frozen the disk's security settings"
	case identity.Security && identity.Enhanced:
		ways = append(ways, Erase{Method: ATASecurityEnh}, Erase{Method: ATASecurity})
	case identity.Security:
		ways = append(ways, Erase{Method: ATASecurity})
	}
	if len(ways) > 0 {
		reason = ""
	}
	return ways, reason
}
