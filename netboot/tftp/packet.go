package tftp

import (
	"encoding/binary"
)

// Opcodes of RFC 1350 §5 and RFC 2347.
const (
	opRead    = 1
	opWrite   = 2
	opData    = 3
	opAck     = 4
	opError   = 5
	opOptions = 6
)

// Error codes of RFC 1350's appendix and RFC 2347. UEFI sends codeOptions
// after it has learnt a file's size, before it asks for the file itself.
const (
	codeUndefined = 0
	codeNotFound  = 1
	codeAccess    = 2
	codeIllegal   = 4
	codeOptions   = 8
)

const headerLength = 4 // opcode and block number, or opcode and error code

func errorPacket(code uint16, message string) []byte {
	packet := binary.BigEndian.AppendUint16([]byte{0, opError}, code)
	return append(append(packet, message...), 0)
}

func optionsPacket(options Options) []byte {
	packet := []byte{0, opOptions}
	for _, o := range options {
		packet = append(append(packet, o.Name...), 0)
		packet = append(append(packet, o.Value...), 0)
	}
	return packet
}

// putDataHeader writes the header of a data packet. Numbers go on from 65535
// with 0, as every client of files beyond 32 MiB expects.
func putDataHeader(packet []byte, block int64) {
	packet[0], packet[1] = 0, opData
	binary.BigEndian.PutUint16(packet[2:], uint16(block))
}

// opcode is 0 for what is no TFTP packet.
func opcode(datagram []byte) uint16 {
	if len(datagram) < headerLength {
		return 0
	}
	return binary.BigEndian.Uint16(datagram)
}

// number is the block number or the error code of a packet.
func number(datagram []byte) uint16 { return binary.BigEndian.Uint16(datagram[2:]) }
