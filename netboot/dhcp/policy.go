package dhcp

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/iana"
)

// The ports a proxyDHCP server answers on.
const (
	PortServer     uint16 = 67   // RFC 2131 §4.1
	PortBootServer uint16 = 4011 // PXE 2.1 §2.2
)

const (
	portClient uint16 = 68
	pathScript        = "/boot.ipxe"
	// pathBootFiles is where all that TFTP serves is found by HTTP.
	pathBootFiles = "/tftp/"
	classPXE      = "PXEClient"
	classHTTP     = "HTTPClient"
	headerLimit   = 127 // bytes of the BOOTP file field, less its NUL
)

// BootFile is what a machine of one architecture loads first. A row with only
// HTTP answers UEFI HTTP boot; one with only TFTP answers PXE.
type BootFile struct {
	TFTP string // file name on our TFTP server
	HTTP string // path on our HTTP server, with its leading slash
}

// Architectures maps a client architecture (option 93, RFC 4578 §2.1 and
// IANA's "Processor Architecture Types") to its boot file. An architecture
// without a row is never answered.
type Architectures map[iana.Arch]BootFile

// DefaultArchitectures is the table of what the product can boot. 32-bit
// firmware (6, 15) is left out although Sidero answers it: it cannot start a
// 64-bit boot program.
func DefaultArchitectures() Architectures {
	return Architectures{
		iana.INTEL_X86PC:     {TFTP: "undionly.kpxe"},
		iana.EFI_X86_64:      {TFTP: "snp.efi"},
		iana.EFI_BC:          {TFTP: "snp.efi"}, // what pre-2016 x64 firmware calls itself
		iana.EFI_X86_64_HTTP: {HTTP: "/tftp/snp.efi"},
	}
}

// Style is how an offer leads PXE firmware to its boot file. Both ways are in
// the specification, and firmware exists that refuses each of them.
type Style uint8

const (
	// StyleUsual is StyleDirect for legacy BIOS, StyleBootServer for UEFI.
	StyleUsual Style = iota
	// StyleDirect sends option 43 with "skip discovery, take the file of this
	// offer" (PXE 2.1 table 2-1, tag 6 bit 3).
	StyleDirect
	// StyleBootServer sends no option 43, and the client asks port 4011.
	StyleBootServer
)

// Policy is everything Reply knows that is not in the packet.
type Policy struct {
	Architectures Architectures
	HTTPPort      uint16 // of our HTTP server, on the address that is advertised
	Style         Style  // for this client
}

// Ingress says how a packet reached us.
type Ingress struct {
	Interface string
	Address   netip.Addr     // ours, IPv4: what machines behind that interface are told
	Port      uint16         // PortServer or PortBootServer
	Source    netip.AddrPort // the sender
}

// httpBase is the URL of our HTTP server as seen from that interface.
func (in Ingress) httpBase(port uint16) string {
	return "http://" + netip.AddrPortFrom(in.Address, port).String()
}

// Reason says why a packet was answered the way it was, or why it was not.
// The values are stable: they are metric labels.
type Reason string

// Reasons of packets that were answered.
const (
	OfferedTFTP   Reason = "offered-tftp"
	OfferedHTTP   Reason = "offered-http"
	OfferedScript Reason = "offered-script" // to iPXE
	Acked         Reason = "acked"          // a REQUEST, mostly on 4011
)

// Reasons of packets that were not answered.
const (
	MalformedPacket         Reason = "malformed-packet"
	NotBootRequest          Reason = "not-bootp-request" // a server's packet, or noise
	NoMessageType           Reason = "no-message-type"   // BOOTP without DHCP
	NotNetworkBoot          Reason = "not-a-network-boot-client"
	UnexpectedMessageType   Reason = "unexpected-message-type"
	NotForUs                Reason = "not-for-us" // a REQUEST to another server
	NoArchitecture          Reason = "no-architecture"
	UnsupportedArchitecture Reason = "unsupported-architecture"
	NoAddress               Reason = "no-address"  // our interface has none to advertise
	SendFailed              Reason = "send-failed" // decided to answer, could not
)

// Reasons lists every Reason, answered ones first.
func Reasons() []Reason {
	return []Reason{
		OfferedTFTP, OfferedHTTP, OfferedScript, Acked,
		MalformedPacket, NotBootRequest, NoMessageType, NotNetworkBoot, UnexpectedMessageType,
		NotForUs, NoArchitecture, UnsupportedArchitecture, NoAddress, SendFailed,
	}
}
