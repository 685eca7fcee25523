package dhcp

import (
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// answer is what a client is told to load.
type answer struct {
	class   string // for option 60
	file    string // TFTP file name or absolute URL
	tftp    bool   // file is a name on our TFTP server
	direct  bool   // option 43: do not look further
	message dhcpv4.MessageType
}

// Reply decides on one packet. The reply is nil for every packet that gets no
// answer, and the reason says why.
func Reply(request *dhcpv4.DHCPv4, in Ingress, policy Policy) (*dhcpv4.DHCPv4, Reason) {
	if request.OpCode != dhcpv4.OpcodeBootRequest {
		return nil, NotBootRequest
	}
	c := clientOf(request)
	if !c.netboot {
		return nil, NotNetworkBoot
	}
	message, reason := messageFor(request, in)
	if reason != "" {
		return nil, reason
	}
	if len(c.architectures) == 0 {
		return nil, NoArchitecture
	}
	arch, class, ok := c.choose(policy.Architectures)
	if !ok {
		return nil, UnsupportedArchitecture
	}
	if !in.Address.Is4() {
		return nil, NoAddress
	}
	a, reason := answerFor(c, arch, class, offerBase{in, policy})
	a.message = message
	if message == dhcpv4.MessageTypeAck {
		reason = Acked
	}
	return a.packet(request, in.Address), reason
}

// messageFor is the type of the reply, or the reason for none.
//
// On 67 a REQUEST is nearly always for the LAN's server, whose address it
// carries. On 4011 option 54 is not looked at: the client came to that socket
// because of our offer, and OVMF sends none there. INFORM is answered on 4011
// alone, like a REQUEST; on 67 it comes from running systems.
func messageFor(request *dhcpv4.DHCPv4, in Ingress) (dhcpv4.MessageType, Reason) {
	kind := request.MessageType()
	switch {
	case kind == dhcpv4.MessageTypeNone:
		return 0, NoMessageType
	case in.Port == PortBootServer && (kind == dhcpv4.MessageTypeRequest || kind == dhcpv4.MessageTypeInform):
		return dhcpv4.MessageTypeAck, ""
	case in.Port != PortServer:
		return 0, UnexpectedMessageType
	case kind == dhcpv4.MessageTypeDiscover:
		return dhcpv4.MessageTypeOffer, ""
	case kind == dhcpv4.MessageTypeRequest:
		if server, ok := netip.AddrFromSlice(request.ServerIdentifier().To4()); ok && server == in.Address {
			return dhcpv4.MessageTypeAck, ""
		}
		return 0, NotForUs
	default:
		return 0, UnexpectedMessageType
	}
}

// offerBase is where answers come from.
type offerBase struct {
	in     Ingress
	policy Policy
}

// answerFor picks the file and the way to it, with the reason for an offer.
func answerFor(c client, arch iana.Arch, class string, base offerBase) (answer, Reason) {
	http := base.in.httpBase(base.policy.HTTPPort)
	row := base.policy.Architectures[arch]
	switch {
	case c.needsFullIPXE(arch):
		return answer{class: class, file: http + pathBootFiles + row.TFTP, direct: isDirect(arch, StyleUsual)}, OfferedHTTP
	case c.ipxe && !c.needsNewerIPXE(arch):
		return answer{class: class, file: http + pathScript, direct: isDirect(arch, StyleUsual)}, OfferedScript
	case class == classHTTP:
		return answer{class: class, file: http + row.HTTP}, OfferedHTTP
	default:
		return answer{class: class, file: row.TFTP, tftp: true, direct: isDirect(arch, base.policy.Style)}, OfferedTFTP
	}
}

// isDirect tells whether option 43 goes with the answer. Legacy ROMs need it;
// EDK2 takes it, other UEFI firmware drops offers that carry it.
func isDirect(arch iana.Arch, style Style) bool {
	if style == StyleUsual {
		style = usualStyle(arch)
	}
	return style == StyleDirect
}

func usualStyle(arch iana.Arch) Style {
	if arch == iana.INTEL_X86PC {
		return StyleDirect
	}
	return StyleBootServer
}

// packet renders an answer. The boot file goes into the BOOTP header and the
// options alike: U-Boot reads only the header, HTTP boot only the option.
func (a answer) packet(request *dhcpv4.DHCPv4, address netip.Addr) *dhcpv4.DHCPv4 {
	ours := net.IP(address.AsSlice())
	reply := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        request.HWType,
		TransactionID: request.TransactionID,
		Flags:         request.Flags,
		ClientIPAddr:  net.IPv4zero,
		YourIPAddr:    net.IPv4zero, // EDK2 takes an offer with an address for a lease
		ServerIPAddr:  ours,
		GatewayIPAddr: request.GatewayIPAddr,
		ClientHWAddr:  request.ClientHWAddr,
		Options: dhcpv4.OptionsFromList(
			dhcpv4.OptMessageType(a.message),
			dhcpv4.OptServerIdentifier(ours),
			dhcpv4.OptClassIdentifier(a.class),
			dhcpv4.OptBootFileName(a.file),
		),
	}
	if a.message == dhcpv4.MessageTypeAck {
		reply.ClientIPAddr = request.ClientIPAddr // RFC 2131 table 3
	}
	if len(a.file) <= headerLimit {
		reply.BootFileName = a.file
	}
	if a.tftp {
		reply.ServerHostName = address.String()
		reply.UpdateOption(dhcpv4.OptTFTPServerName(address.String()))
	}
	if a.direct && a.class == classPXE {
		// PXE_DISCOVERY_CONTROL = 8, then the end of the encapsulated options.
		reply.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, []byte{6, 1, 8, 255}))
	}
	echo(reply, request)
	return reply
}

// echo copies what servers must return: the relay's circuit (RFC 3046 §2.1),
// the client identifier (RFC 6842) and the machine's GUID (PXE 2.1). A GUID of
// the wrong form is returned as it came; the machine will compare bytes.
func echo(reply, request *dhcpv4.DHCPv4) {
	for _, code := range []dhcpv4.OptionCode{
		dhcpv4.OptionRelayAgentInformation,
		dhcpv4.OptionClientIdentifier,
		dhcpv4.OptionClientMachineIdentifier,
	} {
		if value := request.Options.Get(code); value != nil {
			reply.UpdateOption(dhcpv4.OptGeneric(code, value))
		}
	}
}

// Destination is where the reply to a request goes (RFC 2131 §4.1). Offers
// carry no address of the client's, so the broadcast flag has nothing to
// decide. On 4011 the client waits on the port it sent from: OVMF on 4011, iPXE
// on 68.
func Destination(request *dhcpv4.DHCPv4, in Ingress) netip.AddrPort {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if in.Port == PortBootServer {
		if in.Source.Addr().IsUnspecified() {
			return netip.AddrPortFrom(broadcast, in.Source.Port())
		}
		return in.Source
	}
	if relay, ok := address(request.GatewayIPAddr); ok {
		return netip.AddrPortFrom(relay, PortServer)
	}
	if client, ok := address(request.ClientIPAddr); ok {
		return netip.AddrPortFrom(client, portClient)
	}
	return netip.AddrPortFrom(broadcast, portClient)
}

// address converts a header field; ok is false when it is not filled in.
func address(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip.To4())
	return a, ok && !a.IsUnspecified()
}
