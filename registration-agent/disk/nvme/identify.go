package nvme

import (
	"encoding/binary"
	"fmt"
)

// IdentifyLength is the length of each Identify data structure.
const IdentifyLength = 4096

// Controller is what a controller can do (Base Specification 2.0c, figure 275).
type Controller struct {
	// Format tells that Format NVM is there, FormatCrypto that it can erase by dropping
	// the key.
	Format, FormatCrypto bool
	// FormatAll and EraseAll tell that a format, or a format that erases, reaches all
	// namespaces whichever it is sent to.
	FormatAll, EraseAll bool
	// SanitizeBlock and SanitizeCrypto are the sanitize operations there are. Either
	// reaches all namespaces.
	SanitizeBlock, SanitizeCrypto bool
	// Namespaces is the number there can be.
	Namespaces uint32
}

// Offsets in the Identify Controller data structure, and bits.
const (
	ctrlOACS     = 256
	ctrlSANICAP  = 328
	ctrlNN       = 516
	ctrlFNA      = 524
	oacsFormat   = 1 << 1
	sanCrypto    = 1 << 0
	sanBlock     = 1 << 1
	fnaFormatAll = 1 << 0
	fnaEraseAll  = 1 << 1
	fnaCrypto    = 1 << 2
)

// ParseController reads Identify Controller data.
func ParseController(data []byte) (Controller, error) {
	if len(data) < IdentifyLength {
		return Controller{}, fmt.Errorf("read NVMe controller data: %d bytes of %d", len(data), IdentifyLength)
	}
	format := binary.LittleEndian.Uint16(data[ctrlOACS:])&oacsFormat != 0
	sanitize := binary.LittleEndian.Uint32(data[ctrlSANICAP:])
	fna := data[ctrlFNA]
	return Controller{
		Format:         format,
		FormatCrypto:   format && fna&fnaCrypto != 0,
		FormatAll:      fna&fnaFormatAll != 0,
		EraseAll:       fna&fnaEraseAll != 0,
		SanitizeBlock:  sanitize&sanBlock != 0,
		SanitizeCrypto: sanitize&sanCrypto != 0,
		Namespaces:     binary.LittleEndian.Uint32(data[ctrlNN:]),
	}, nil
}

// Namespace is how a namespace is formatted now (NVM Command Set Specification 1.0c,
// figure 97), so that a format can leave that as it is.
type Namespace struct {
	// Format is the number of the LBA format.
	Format uint8
	// Extended tells that metadata is part of each block.
	Extended bool
	// Protection is the type of protection information, zero for none; First tells
	// that it is in the first bytes of the metadata.
	Protection uint8
	First      bool
}

// Offsets in the Identify Namespace data structure.
const (
	nsFLBAS = 26
	nsDPS   = 29
)

// ParseNamespace reads Identify Namespace data.
func ParseNamespace(data []byte) (Namespace, error) {
	if len(data) < IdentifyLength {
		return Namespace{}, fmt.Errorf("read NVMe namespace data: %d bytes of %d", len(data), IdentifyLength)
	}
	flbas, dps := data[nsFLBAS], data[nsDPS]
	return Namespace{
		Format:     flbas&0x0F | flbas>>5&0x03<<4,
		Extended:   flbas&(1<<4) != 0,
		Protection: dps & 0x07,
		First:      dps&(1<<3) != 0,
	}, nil
}
