package ata

import "encoding/binary"

// Commands (ACS-3 section 7) and the features of SANITIZE DEVICE (section 7.37).
const (
	cmdIdentify        = 0xEC
	cmdSanitize        = 0xB4
	cmdSetPassword     = 0xF1
	cmdErasePrepare    = 0xF3
	cmdEraseUnit       = 0xF4
	cmdDisablePassword = 0xF6

	sanitizeStatus = 0x0000
	sanitizeCrypto = 0x0011
	sanitizeBlock  = 0x0012
)

// The sanitize operations want these in the LBA field, so that nobody starts one by
// accident.
const (
	keyCrypto = 0x43727970 // "Cryp"
	keyBlock  = 0x426B4572 // "BkEr"
)

// Password is what a disk is locked with while it erases itself by the security
// feature set, which works in no other way. It is no secret: when the machine loses
// power meanwhile, this is what unlocks the disk again.
const Password = "sidero-appliance"

// Command is one ATA command.
type Command struct {
	Code     uint8
	Features uint16
	Count    uint16
	LBA      uint64
	// In is the number of bytes that the command returns, Out what it sends; both come
	// in blocks of 512.
	In  int
	Out []byte
	// Status asks for the registers after a success too, not only after a failure.
	Status bool
	// Extended is set for the commands with 48-bit addresses.
	Extended bool
}

// Identify asks for IDENTIFY DEVICE data.
func Identify() Command { return Command{Code: cmdIdentify, Count: 1, In: IdentifyLength} }

// SanitizeBlock starts a block erase; it returns at once, and SanitizeStatus tells how
// far the disk is.
func SanitizeBlock() Command {
	return Command{Code: cmdSanitize, Features: sanitizeBlock, LBA: keyBlock, Extended: true, Status: true}
}

// SanitizeCrypto starts a crypto scramble.
func SanitizeCrypto() Command {
	return Command{Code: cmdSanitize, Features: sanitizeCrypto, LBA: keyCrypto, Extended: true, Status: true}
}

// SanitizeStatus asks how far a sanitize operation is.
func SanitizeStatus() Command {
	return Command{Code: cmdSanitize, Features: sanitizeStatus, Extended: true, Status: true}
}

// SetPassword enables the security feature set with Password as the user's password at
// the security level "high", where the maker's password unlocks the disk too.
func SetPassword() Command { return Command{Code: cmdSetPassword, Out: password(0)} }

// ErasePrepare must come right before EraseUnit.
func ErasePrepare() Command { return Command{Code: cmdErasePrepare, Status: true} }

// EraseUnit erases the disk and returns when it is done, hours later on a big disk
// that turns. The password is off afterwards.
func EraseUnit(enhanced bool) Command {
	const enhancedMode = 1 << 1
	if enhanced {
		return Command{Code: cmdEraseUnit, Out: password(enhancedMode)}
	}
	return Command{Code: cmdEraseUnit, Out: password(0)}
}

// DisablePassword takes Password off again.
func DisablePassword() Command { return Command{Code: cmdDisablePassword, Out: password(0)} }

// password lays out the data of the security commands: a control word, whose bit 0 is
// clear for the user's password, and 32 bytes (ACS-3 sections 7.42 to 7.46).
func password(control uint16) []byte {
	data := make([]byte, 512)
	binary.LittleEndian.PutUint16(data, control)
	copy(data[2:34], Password)
	return data
}

// Fields of ATA PASS-THROUGH (16).
const (
	opPassThrough  = 0x85
	protoNoData    = 3 << 1
	protoDataIn    = 4 << 1
	protoDataOut   = 5 << 1
	extend         = 1
	checkCondition = 1 << 5
	dirIn          = 1 << 3
	byteBlock      = 1 << 2
	lengthInCount  = 2
	deviceLBA      = 1 << 6
)

// CDB wraps the command for SCSI.
func (c Command) CDB() [16]byte {
	cdb := [16]byte{0: opPassThrough, 1: protoNoData, 13: deviceLBA}
	if c.In > 0 {
		cdb[1], cdb[2] = protoDataIn, dirIn|byteBlock|lengthInCount
	}
	count := c.Count
	if len(c.Out) > 0 {
		cdb[1], cdb[2] = protoDataOut, byteBlock|lengthInCount
		// The pass-through takes the length from here; the security commands do not
		// look at it.
		count = uint16(len(c.Out) / 512)
	}
	if c.Status {
		cdb[2] |= checkCondition
	}
	if c.Extended {
		cdb[1] |= extend
		cdb[3], cdb[5] = byte(c.Features>>8), byte(count>>8)
		cdb[7], cdb[9], cdb[11] = byte(c.LBA>>24), byte(c.LBA>>32), byte(c.LBA>>40)
	}
	cdb[4], cdb[6] = byte(c.Features), byte(count)
	cdb[8], cdb[10], cdb[12] = byte(c.LBA), byte(c.LBA>>8), byte(c.LBA>>16)
	cdb[14] = c.Code
	return cdb
}

// Registers are what the disk returns with a command.
type Registers struct {
	Error, Status uint8
	Count         uint16
	LBA           uint64
}

// Bits of the status register.
const (
	statusError = 1 << 0
	statusFault = 1 << 5
)

// Failed reports whether the disk refused or broke off the command.
func (r Registers) Failed() bool { return r.Status&(statusError|statusFault) != 0 }

// ParseSense finds the registers in SCSI sense data: in the ATA Status Return
// descriptor (SAT-4 section 12.2.7) of descriptor-format sense data (SPC-4 section
// 4.5.2).
func ParseSense(sense []byte) (Registers, bool) {
	const header, descriptor, length = 8, 0x09, 12
	if len(sense) < header || (sense[0]&0x7F != 0x72 && sense[0]&0x7F != 0x73) {
		return Registers{}, false
	}
	rest := sense[header:min(len(sense), header+int(sense[7]))]
	for len(rest) >= 2 {
		size := 2 + int(rest[1])
		if rest[0] == descriptor && size >= 2+length && len(rest) >= 2+length {
			d := rest
			return Registers{
				Error: d[3], Status: d[13],
				Count: uint16(d[4])<<8 | uint16(d[5]),
				LBA: uint64(d[10])<<40 | uint64(d[8])<<32 | uint64(d[6])<<24 |
					uint64(d[11])<<16 | uint64(d[9])<<8 | uint64(d[7]),
			}, true
		}
		if size > len(rest) {
			break
		}
		rest = rest[size:]
	}
	return Registers{}, false
}

// SanitizeState is what SanitizeStatus returned.
type SanitizeState struct {
	// Running is set until the disk is done; Done is its share, of 65536.
	Running bool
	Done    uint16
	// Succeeded is set when the last operation ended well.
	Succeeded bool
}

// ParseSanitize reads the registers after SanitizeStatus (ACS-3 section 7.37.8).
func ParseSanitize(r Registers) SanitizeState {
	return SanitizeState{
		Running:   r.Count&(1<<14) != 0,
		Succeeded: r.Count&(1<<15) != 0,
		Done:      uint16(r.LBA),
	}
}
