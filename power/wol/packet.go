package wol

import (
	"bytes"
	"encoding/binary"
	"net"
)

// etherType is that of Wake-on-LAN frames.
const etherType = 0x0842

// Packet is the magic packet for a MAC address, followed by the card's SecureOn password, of which there mostly is none.
func Packet(mac net.HardwareAddr, password []byte) []byte {
	packet := bytes.Repeat([]byte{0xff}, 6)
	packet = append(packet, bytes.Repeat(mac, 16)...)
	return append(packet, password...)
}

// frame puts a packet into an Ethernet frame to every station. It is longer than the minimum of 60 bytes, so there is no
// padding.
func frame(source net.HardwareAddr, packet []byte) []byte {
	frame := bytes.Repeat([]byte{0xff}, 6)
	frame = append(frame, source...)
	frame = binary.BigEndian.AppendUint16(frame, etherType)
	return append(frame, packet...)
}
