package dhcp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// optionEtherboot encapsulates iPXE's own options (175, "etherboot").
const optionEtherboot = dhcpv4.GenericOptionCode(175)

// client is what a packet says about its sender.
type client struct {
	class         string      // classPXE, classHTTP or ""
	architectures []iana.Arch // as sent, empty when the packet names none
	netboot       bool
	ipxe          bool
	features      map[uint8]bool // of iPXE, by sub-option of option 175; nil when it tells none
	asksTime      bool           // option 55 lists 42, NTP servers
}

func clientOf(request *dhcpv4.DHCPv4) client {
	c := client{
		architectures: architecturesOf(request),
		netboot:       request.Options.Has(dhcpv4.OptionClientSystemArchitectureType),
		ipxe:          isIPXE(request),
		features:      featuresOf(request),
		asksTime: bytes.IndexByte(request.Options.Get(dhcpv4.OptionParameterRequestList),
			dhcpv4.OptionNTPServers.Code()) >= 0,
	}
	switch class := request.ClassIdentifier(); {
	case strings.HasPrefix(class, classPXE):
		c.class, c.netboot = classPXE, true
	case strings.HasPrefix(class, classHTTP):
		c.class, c.netboot = classHTTP, true
	}
	return c
}

// architecturesOf reads option 93, and the class string only where 93 is
// missing: iPXE after PXE sends a bare "PXEClient", and some firmware's string
// contradicts its option.
func architecturesOf(request *dhcpv4.DHCPv4) []iana.Arch {
	value := request.Options.Get(dhcpv4.OptionClientSystemArchitectureType)
	if len(value) == 1 {
		return []iana.Arch{iana.Arch(value[0])} // a ROM that sends one octet
	}
	var found []iana.Arch
	for ; len(value) >= 2; value = value[2:] {
		found = append(found, iana.Arch(binary.BigEndian.Uint16(value)))
	}
	if len(found) > 0 || request.Options.Has(dhcpv4.OptionClientSystemArchitectureType) {
		return found
	}
	// "PXEClient:Arch:xxxxx:UNDI:yyyzzz", five decimal digits (PXE 2.1 table 2-1).
	_, rest, ok := strings.Cut(request.ClassIdentifier(), ":Arch:")
	if !ok || len(rest) < 5 {
		return nil
	}
	number, err := strconv.ParseUint(rest[:5], 10, 16)
	if err != nil {
		return nil
	}
	return []iana.Arch{iana.Arch(number)}
}

// isIPXE tells iPXE from firmware. Its option 77 is the bare text, which RFC
// 3004 forbids; a client that follows the RFC puts a length before each class.
func isIPXE(request *dhcpv4.DHCPv4) bool {
	if request.Options.Has(optionEtherboot) {
		return true
	}
	value := request.Options.Get(dhcpv4.OptionUserClassInformation)
	if string(value) == "iPXE" {
		return true
	}
	for len(value) > 0 && int(value[0]) < len(value) {
		class := value[1 : 1+int(value[0])]
		if string(class) == "iPXE" {
			return true
		}
		value = value[1+len(class):]
	}
	return false
}

// iPXE's features that matter here, as it numbers them in option 175.
const (
	featureHTTP    = 19
	featureBzImage = 24 // Linux kernels
)

// featuresOf lists the sub-options of option 175, a code, a length and a value
// each. What is not of that form tells nothing.
func featuresOf(request *dhcpv4.DHCPv4) map[uint8]bool {
	features := map[uint8]bool{}
	for rest := request.Options.Get(optionEtherboot); len(rest) >= 2; rest = rest[2+int(rest[1]):] {
		if len(rest) < 2+int(rest[1]) {
			return nil
		}
		features[rest[0]] = true
	}
	return features
}

// needsFullIPXE tells an iPXE that can load ours by HTTP and cannot start a
// kernel itself: the one inside VirtualBox is built without that, and would
// answer every script of ours with "Exec format error". The build we serve lists
// the feature, so this cannot go round in circles.
func (c client) needsFullIPXE(arch iana.Arch) bool {
	return c.ipxe && arch == iana.INTEL_X86PC && c.features[featureHTTP] && !c.features[featureBzImage]
}

// needsNewerIPXE tells whether this iPXE has to load ours before it is given
// the script. The UEFI build of 1.0.0, which is in QEMU's and many cards' ROMs,
// runs scripts but cannot start a current kernel ("Error 0x7f04828e").
//
// The version in option 175 (sub-option 235) does not tell: Debian's 1.21.1
// says 1.0.0 there too. What does is option 55: iPXE asks for NTP servers since
// July 2023, the build we serve among them, so this cannot go round in circles.
func (c client) needsNewerIPXE(arch iana.Arch) bool {
	return c.ipxe && arch != iana.INTEL_X86PC && !c.asksTime
}

// choose picks the first architecture with a boot file and the class that the
// client will accept that file under; ok is false when there is none. A client
// that states its class gets no file of the other: a PXE client cannot follow a
// URL, even if it gives the number of HTTP boot for its architecture.
func (c client) choose(table Architectures) (arch iana.Arch, class string, ok bool) {
	i := slices.IndexFunc(c.architectures, func(a iana.Arch) bool {
		row, known := table[a]
		return known && (row.HTTP != "" && c.class != classPXE || row.TFTP != "" && c.class != classHTTP)
	})
	if i < 0 {
		return 0, "", false
	}
	arch = c.architectures[i]
	if c.class == classHTTP || table[arch].TFTP == "" {
		return arch, classHTTP, true
	}
	return arch, classPXE, true
}

// guidOf renders option 97 (RFC 4578 §2.3) as the UUID that SMBIOS shows; ""
// where the option is missing. The first three fields are little-endian on the
// wire. ok is false for a value that is no GUID; such clients boot none the
// less.
func guidOf(request *dhcpv4.DHCPv4) (text string, ok bool) {
	value := request.Options.Get(dhcpv4.OptionClientMachineIdentifier)
	if value == nil {
		return "", true
	}
	if len(value) != 17 || value[0] != 0 {
		return "", false
	}
	var id uuid.UUID
	copy(id[:], value[1:])
	slices.Reverse(id[0:4])
	slices.Reverse(id[4:6])
	slices.Reverse(id[6:8])
	return id.String(), true
}

// identityOf names a client across packets. Infiniband sends no hardware
// address (RFC 4390) but must send a client identifier.
func identityOf(request *dhcpv4.DHCPv4) string {
	if len(request.ClientHWAddr) > 0 {
		return request.ClientHWAddr.String()
	}
	return hex.EncodeToString(request.Options.Get(dhcpv4.OptionClientIdentifier))
}
