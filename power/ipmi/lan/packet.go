package lan

import (
	"encoding/binary"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Sizes of headers, from IPMI v2.0 table 13-8.
const (
	rmcpSize      = 4
	header15Size  = 10 // without the authentication code
	header20Size  = 12
	authCode15    = 16
	messageSize   = 7 // without data and completion code
	rmcpVersion   = 6
	rmcpNoAck     = 0xff
	bmcAddress    = 0x20
	remoteConsole = 0x81
)

// packet is a datagram's session header and what is behind it.
type packet struct {
	auth types.AuthType // RMCPPlus for IPMI 2.0
	// payload and flags are IPMI 2.0's.
	payload                  types.PayloadType
	encrypted, authenticated bool
	session, sequence        uint32
	// code is the authentication code of IPMI 1.5.
	code []byte
	data []byte
	// signed and trailer are IPMI 2.0's: from the session header to the end, and what is behind the data.
	signed, trailer []byte
}

// parsePacket reads a datagram. What is not IPMI is not ok.
func parsePacket(datagram []byte) (packet, bool) {
	if len(datagram) < rmcpSize+header15Size || datagram[0] != rmcpVersion || datagram[3] != types.MessageClassIPMI {
		return packet{}, false
	}
	header := datagram[rmcpSize:]
	if types.AuthType(header[0]) == types.AuthTypeRMCPPlus {
		return parsePacket20(header)
	}
	return parsePacket15(header)
}

func parsePacket15(header []byte) (packet, bool) {
	p := packet{
		auth:     types.AuthType(header[0]),
		sequence: binary.LittleEndian.Uint32(header[1:]),
		session:  binary.LittleEndian.Uint32(header[5:]),
	}
	rest := header[9:]
	if p.auth != types.AuthTypeNone {
		if len(rest) <= authCode15 {
			return packet{}, false
		}
		p.code, rest = rest[:authCode15], rest[authCode15:]
	}
	length := int(rest[0])
	if len(rest) < 1+length {
		return packet{}, false
	}
	p.data = rest[1 : 1+length]
	return p, true
}

func parsePacket20(header []byte) (packet, bool) {
	if len(header) < header20Size {
		return packet{}, false
	}
	length := int(binary.LittleEndian.Uint16(header[10:]))
	if len(header) < header20Size+length {
		return packet{}, false
	}
	return packet{
		auth:          types.AuthTypeRMCPPlus,
		payload:       types.PayloadType(header[1] & 0x3f),
		encrypted:     header[1]&types.PayloadFlagEncrypted != 0,
		authenticated: header[1]&types.PayloadFlagAuthenticated != 0,
		session:       binary.LittleEndian.Uint32(header[2:]),
		sequence:      binary.LittleEndian.Uint32(header[6:]),
		data:          header[header20Size : header20Size+length],
		signed:        header,
		trailer:       header[header20Size+length:],
	}, true
}

// appendRMCP begins a datagram.
func appendRMCP(datagram []byte) []byte {
	return append(datagram, rmcpVersion, 0, rmcpNoAck, types.MessageClassIPMI)
}

// packet20 is a datagram without authentication, as sessions begin.
func packet20(payload types.PayloadType, data []byte) []byte {
	return append(appendHeader20(appendRMCP(nil), byte(payload), 0, 0, len(data)), data...)
}

func appendHeader20(datagram []byte, payload byte, session, sequence uint32, length int) []byte {
	datagram = append(datagram, byte(types.AuthTypeRMCPPlus), payload)
	datagram = binary.LittleEndian.AppendUint32(datagram, session)
	datagram = binary.LittleEndian.AppendUint32(datagram, sequence)
	return binary.LittleEndian.AppendUint16(datagram, uint16(length))
}

// packet15 is a datagram of IPMI 1.5. Without a code it is not authenticated.
func packet15(auth types.AuthType, session, sequence uint32, code, data []byte) []byte {
	datagram := append(appendRMCP(nil), byte(auth))
	datagram = binary.LittleEndian.AppendUint32(datagram, sequence)
	datagram = binary.LittleEndian.AppendUint32(datagram, session)
	datagram = append(datagram, code...)
	datagram = append(datagram, byte(len(data)))
	return append(datagram, data...)
}

// message is a command's message, from IPMI v2.0 table 13-8. The number pairs it with its answer.
func message(command types.Command, number uint8, data []byte) []byte {
	request := types.IPMIRequest{
		ResponderAddr: bmcAddress, RequesterAddr: remoteConsole,
		NetFn: command.NetFn, Command: command.ID, RequesterSequence: number, CommandData: data,
	}
	request.ComputeChecksum()
	return request.Pack()
}

// parseAnswer reads the message that answers a command, and returns its completion code and data. Its checksums are not
// looked at: UDP has one, a session has better ones, and there are BMCs that get them wrong.
func parseAnswer(answer []byte, command types.Command, number uint8) ([]byte, bool) {
	switch {
	case len(answer) < messageSize+1,
		types.NetFn(answer[1]>>2) != command.NetFn|1,
		answer[4]>>2 != number,
		answer[5] != command.ID:
		return nil, false
	}
	return answer[messageSize-1 : len(answer)-1], true
}
