package ata

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// IdentifyLength is the length of IDENTIFY DEVICE data (ACS-3 section 7.12.7).
const IdentifyLength = 512

// Words of IDENTIFY DEVICE data, and their bits.
const (
	wordSerial, wordsSerial = 10, 10
	wordModel, wordsModel   = 27, 20

	wordSanitize        = 59
	bitSanitize         = 1 << 12
	bitSanitizeCrypto   = 1 << 13
	bitSanitizeBlock    = 1 << 15
	wordEraseTime       = 89
	wordEraseTimeEnh    = 90
	wordWWN, wordsWWN   = 108, 4
	wordFeatures87      = 87
	bitWWN              = 1 << 8
	wordSecurity        = 128
	bitSecurity         = 1 << 0
	bitSecurityEnabled  = 1 << 1
	bitSecurityLocked   = 1 << 2
	bitSecurityFrozen   = 1 << 3
	bitSecurityExpired  = 1 << 4
	bitSecurityEnhanced = 1 << 5
)

// Identity is what a disk says of itself.
type Identity struct {
	Model, Serial string
	// WWN is the world-wide name, zero when the disk has none.
	WWN uint64

	// SanitizeBlock and SanitizeCrypto tell whether the disk can erase itself by these
	// operations of the sanitize feature set.
	SanitizeBlock, SanitizeCrypto bool

	// Security is set when the disk has the security feature set; the others are its
	// state. A frozen disk refuses to erase itself until it loses power; firmware
	// freezes disks as it starts the machine.
	Security, Enabled, Locked, Frozen, Expired, Enhanced bool
	// EraseMinutes and EnhancedMinutes are the disk's own estimates, zero when it makes
	// none.
	EraseMinutes, EnhancedMinutes int
}

// ParseIdentity reads IDENTIFY DEVICE data.
func ParseIdentity(data []byte) (Identity, error) {
	if len(data) < IdentifyLength {
		return Identity{}, fmt.Errorf("read ATA identity: %d bytes of %d", len(data), IdentifyLength)
	}
	word := func(n int) uint16 { return binary.LittleEndian.Uint16(data[2*n:]) }
	id := Identity{
		Model:  text(data, wordModel, wordsModel),
		Serial: text(data, wordSerial, wordsSerial),
	}
	// A word whose bits 15:14 are not 01 means nothing.
	if word(wordFeatures87)>>14 == 1 && word(wordFeatures87)&bitWWN != 0 {
		for n := range wordsWWN {
			id.WWN = id.WWN<<16 | uint64(word(wordWWN+n))
		}
	}
	if sanitize := word(wordSanitize); sanitize&bitSanitize != 0 {
		id.SanitizeBlock = sanitize&bitSanitizeBlock != 0
		id.SanitizeCrypto = sanitize&bitSanitizeCrypto != 0
	}
	if security := word(wordSecurity); security&bitSecurity != 0 {
		id.Security = true
		id.Enabled = security&bitSecurityEnabled != 0
		id.Locked = security&bitSecurityLocked != 0
		id.Frozen = security&bitSecurityFrozen != 0
		id.Expired = security&bitSecurityExpired != 0
		id.Enhanced = security&bitSecurityEnhanced != 0
		id.EraseMinutes = minutes(word(wordEraseTime))
		id.EnhancedMinutes = minutes(word(wordEraseTimeEnh))
	}
	return id, nil
}

// text reads an ATA string: the bytes of each word are swapped (ACS-3 section 3.4.9).
func text(data []byte, word, words int) string {
	swapped := make([]byte, 2*words)
	for n := range words {
		swapped[2*n], swapped[2*n+1] = data[2*(word+n)+1], data[2*(word+n)]
	}
	for _, b := range swapped {
		if b > 0x7E {
			return ""
		}
	}
	return strings.Trim(string(swapped), " \x00")
}

// minutes reads an erase time (ACS-3 section 7.12.7.43): bit 15 tells which form it has;
// the greatest value means more than that.
func minutes(word uint16) int {
	if word&(1<<15) != 0 {
		return 2 * int(word&0x7FFF)
	}
	return 2 * int(word&0xFF)
}
