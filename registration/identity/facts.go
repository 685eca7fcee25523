package identity

import (
	"bytes"
	"cmp"
	"net"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Facts are what tells a machine from others with its UUID. The zero value tells nothing.
type Facts struct {
	// Serial number of the system; empty if it is one that many machines share.
	Serial string
	// BootMAC is the address of the interface that the machine booted from.
	BootMAC string
	// MACs are the permanent addresses of adapters that are not on USB.
	MACs []string
	// Other are addresses of which it is not known what kind they are.
	Other []string
}

// New makes facts of what a machine told, sorted and without what identifies nothing.
func New(told Facts) Facts {
	macs := usableMACs(told.MACs)

	return Facts{
		Serial: ParseSerial(told.Serial), BootMAC: ParseMAC(told.BootMAC), MACs: macs,
		Other: slices.DeleteFunc(usableMACs(told.Other), func(mac string) bool { return slices.Contains(macs, mac) }),
	}
}

// maxKnown is how many addresses of a machine are known at most. The largest have some dozens.
const maxKnown = 256

// With adds to what is known of a machine what it tells now. Nothing is taken away: or of two calls the first could add another
// machine's address, and the second take away its own.
func (f Facts) With(told Facts) Facts {
	all := New(Facts{
		Serial: cmp.Or(f.Serial, told.Serial), BootMAC: cmp.Or(told.BootMAC, f.BootMAC),
		MACs: slices.Concat(f.MACs, told.MACs), Other: slices.Concat(f.Other, told.Other),
	})

	if len(all.MACs)+len(all.Other) > maxKnown {
		return f
	}

	return all
}

func (f Facts) none() bool {
	return f.Serial == "" && f.BootMAC == "" && len(f.MACs)+len(f.Other) == 0
}

// Names are those that a Server of the machine may have where the UUID is not enough, the best first.
func (f Facts) Names(id string) []string {
	var names []string

	for _, mac := range slices.Concat([]string{f.BootMAC}, f.MACs, f.Other) {
		if mac != "" {
			names = append(names, NameOf(id, mac))
		}
	}

	return names
}

func usableMACs(texts []string) []string {
	var macs []string

	for _, text := range texts {
		if mac := ParseMAC(text); mac != "" {
			macs = append(macs, mac)
		}
	}

	slices.Sort(macs)

	return slices.Compact(macs)
}

// ParseMAC is an Ethernet address in lower case with colons; empty for what is none, or is no adapter's: zero, and those with the
// group bit (IEEE 802).
func ParseMAC(text string) string {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || bytes.Equal(mac, make([]byte, 6)) {
		return ""
	}

	return mac.String()
}

// sharedSerials are what vendors leave in the place of a serial number, in small letters and without all but letters and
// digits.
func sharedSerials() []string {
	return []string{
		"", "none", "unknown", "invalid", "empty", "oem", "na", "nil", "null", "default", "defaultstring", "notspecified",
		"notapplicable", "notavailable", "systemserialnumber", "chassisserialnumber", "baseboardserialnumber", "serialnumber",
		"tobefilledbyoem", "tobefilledbyoemoem", "sernum0", "standard", "nosn", "sn", "systemserial", "test", "qemu",
		"123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "0123456789", "012345678",
		"0123456789abcdef", "03000200", "987654321", "9876543210",
	}
}

// ParseSerial is a serial number as machines are compared by it; empty for what many machines share.
func ParseSerial(text string) string {
	core := coreOf(text)

	if slices.Contains(sharedSerials(), core) || strings.Trim(core, core[:1]) == "" {
		return "" // the latter is one sign again and again: 00000000, xxxxxxxx
	}

	return strings.TrimSpace(text)
}

// coreOf are the letters, small, and digits of a text.
func coreOf(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}

		return unicode.ToLower(r)
	}, text)
}

// Under are the facts that tell a machine from others with this UUID. A serial number that is made of the UUID, as those of VMware's
// and Amazon's machines, is every clone's.
func (f Facts) Under(id string) Facts {
	if repeats(f.Serial, id) {
		f.Serial = ""
	}

	return f
}

// repeats tells whether a serial number has a UUID in it, in the order of bytes in which it is written or in that of SMBIOS
// (DSP0134, 7.2.1), which has the first three fields the other way round.
func repeats(serial, text string) bool {
	id, err := uuid.Parse(text)
	if err != nil || serial == "" {
		return false
	}

	other := id
	slices.Reverse(other[0:4])
	slices.Reverse(other[4:6])
	slices.Reverse(other[6:8])

	core := coreOf(serial)

	return strings.Contains(core, coreOf(id.String())) || strings.Contains(core, coreOf(other.String()))
}

// sharedUUIDs are what firmware reports that was given none of its own, beside those of one byte again and again.
func sharedUUIDs() []string {
	return []string{
		"03000200-0400-0500-0006-000700080009", // AMI's, on boards of many makers; and as it is read in the other byte order
		"00020003-0004-0005-0006-000700080009",
		"03020100-0504-0706-0809-0a0b0c0d0e0f", // the bytes in their order, and likewise
		"00010203-0405-0607-0809-0a0b0c0d0e0f",
		"12345678-1234-5678-90ab-cddeefaabbcc",
		"12345678-1234-1234-1234-123456789012",
		"deadbeef-dead-beef-dead-beefdeadbeef",
		"4c4c4544-0000-2010-8020-80c04f202020", // Dell's without a service tag
	}
}

// SharedUUID tells whether a UUID stands for none. Servers of such machines are named after an address too.
func SharedUUID(text string) bool {
	id, err := uuid.Parse(text)
	if err != nil {
		return false
	}

	return slices.Contains(sharedUUIDs(), id.String()) || bytes.Count(id[:], id[:1]) == len(id)
}

// Of is what is known of a Server's machine: what it told of its identity, or of its hardware where it has told no more.
func Of(server *v1alpha2.Server) Facts {
	id, _ := UUIDOf(server.Name)

	return toldBy(server).Under(id)
}

func toldBy(server *v1alpha2.Server) Facts {
	if told := server.Status.Identity; told != nil {
		return New(Facts{Serial: told.SerialNumber, BootMAC: told.BootMAC, MACs: told.MACs, Other: told.OtherMACs})
	}

	return OfHardware(server.Spec.Hardware)
}

// OfHardware is what can be told from a machine's hardware, as Sidero's agent describes it.
func OfHardware(hardware *v1alpha2.HardwareInformation) Facts {
	var told Facts

	if hardware != nil && hardware.System != nil {
		told.Serial = hardware.System.SerialNumber
	}

	if hardware != nil && hardware.Network != nil {
		for _, adapter := range hardware.Network.Interfaces {
			if adapter != nil {
				told.Other = append(told.Other, adapter.MAC)
			}
		}
	}

	return New(told)
}
