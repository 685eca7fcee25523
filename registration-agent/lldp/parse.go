package lldp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Announcement is what a port of a switch says of itself.
type Announcement struct {
	// ChassisID names the switch, and PortID the port, each by its address, name or number.
	ChassisID, PortID string
	// TTL is how long the announcement holds; 0 takes it back.
	TTL time.Duration
	// PortDescription and SystemName are for people.
	PortDescription, SystemName string
	// VLAN is the one that untagged frames belong to, 0 if it is not told.
	VLAN uint16
}

// Types of the parts of an announcement (IEEE 802.1AB table 8-1).
const (
	typeEnd             = 0
	typeChassis         = 1
	typePort            = 2
	typeTTL             = 3
	typePortDescription = 4
	typeSystemName      = 5
	typeOrganization    = 127
)

// part is a type, length and value.
type part struct {
	kind  byte
	value []byte
}

// errShort is an announcement that ends within a part.
var errShort = errors.New("it is cut off")

// Parse reads the payload of an Ethernet frame of LLDP's type. What may be missing and
// cannot be read is left out.
func Parse(payload []byte) (Announcement, error) {
	var said Announcement
	for at := 0; ; at++ {
		next, rest, err := cut(payload)
		if err != nil {
			return Announcement{}, fmt.Errorf("parse announcement: part %d: %w", at+1, err)
		}
		payload = rest
		// The first three have to be there, in this order (section 8.2).
		if at < typeTTL && int(next.kind) != at+1 {
			return Announcement{}, fmt.Errorf("parse announcement: part %d is of type %d, want %d", at+1, next.kind, at+1)
		}
		if next.kind == typeEnd {
			return said, nil
		}
		if err := said.add(next); err != nil {
			return Announcement{}, fmt.Errorf("parse announcement: part %d: %w", at+1, err)
		}
		// The end may be missing where the frame ends.
		if len(payload) == 0 && at+1 >= typeTTL {
			return said, nil
		}
	}
}

// cut takes the first part off: seven bits of type, nine of length (section 8.4).
func cut(payload []byte) (part, []byte, error) {
	const header, lengthBits = 2, 9
	if len(payload) < header {
		return part{}, nil, errShort
	}
	head := binary.BigEndian.Uint16(payload)
	end := header + int(head&(1<<lengthBits-1))
	if len(payload) < end {
		return part{}, nil, errShort
	}
	return part{byte(head >> lengthBits), payload[header:end]}, payload[end:], nil
}

func (a *Announcement) add(p part) (err error) {
	switch p.kind {
	case typeChassis:
		a.ChassisID, err = identifier(p.value, chassisAddress, chassisNetwork)
	case typePort:
		a.PortID, err = identifier(p.value, portAddress, portNetwork)
	case typeTTL:
		const seconds = 2
		if len(p.value) < seconds {
			return errShort
		}
		a.TTL = time.Duration(binary.BigEndian.Uint16(p.value)) * time.Second
	case typePortDescription:
		a.PortDescription = text(p.value)
	case typeSystemName:
		a.SystemName = text(p.value)
	case typeOrganization:
		if vlan, told := portVLAN(p.value); told {
			a.VLAN = vlan
		}
	}
	return err
}

// Subtypes of identifiers that are no texts (tables 8-2 and 8-3).
const (
	chassisAddress = 4
	chassisNetwork = 5
	portAddress    = 3
	portNetwork    = 4
)

// identifier reads a subtype, and a name of its kind.
func identifier(value []byte, address, network byte) (string, error) {
	const shortest = 2
	if len(value) < shortest || len(value) > longest+1 {
		return "", fmt.Errorf("an identifier of %d bytes", len(value))
	}
	subtype, name := value[0], value[1:]
	switch {
	case subtype == address && len(name) == 6:
		return net.HardwareAddr(name).String(), nil
	case subtype == network:
		// The family of IANA's, and the address.
		if ip, ok := netip.AddrFromSlice(name[1:]); ok {
			return ip.String(), nil
		}
	case text(name) != "":
		return text(name), nil
	}
	return hex.EncodeToString(name), nil
}

// portVLAN reads IEEE 802.1's port VLAN (IEEE 802.1Q annex D.2.1).
func portVLAN(value []byte) (vlan uint16, told bool) {
	const length, mostVLAN = 6, 4094
	if len(value) < length || string(value[:4]) != "\x00\x80\xc2\x01" {
		return 0, false
	}
	vlan = binary.BigEndian.Uint16(value[4:])
	return vlan, vlan > 0 && vlan <= mostVLAN
}

// longest is what an identifier, a description or a name may have (sections 8.5.2 to 8.5.6).
const longest = 255

// text is what a switch says for people, without what does not print.
func text(value []byte) string {
	if len(value) > longest || !utf8.Valid(value) {
		return ""
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(value)))
}
