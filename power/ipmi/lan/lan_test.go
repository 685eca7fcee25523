package lan

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"
)

func decode(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPackets: the first two datagrams of ipmitool 1.8.19's session over lanplus with cipher suite 3, captured on the way to
// OpenIPMI's ipmi_sim 1.0.13.
func TestPackets(t *testing.T) {
	capabilities := packet15(types.AuthTypeNone, 0, 0, nil, message(types.CommandGetChannelAuthCapabilities, 0, []byte{0x8e, 4}))
	if want := decode(t, "0600ff07000000000000000000092018c88100388e04b5"); !bytes.Equal(capabilities, want) {
		t.Errorf("Get Channel Authentication Capabilities is\n%x, want\n%x", capabilities, want)
	}
	open := packet20(types.PayloadTypeRmcpOpenSessionRequest, decode(t, "00000000a4a3a2a0000000080100000001000008010000000200000801000000"))
	if want := decode(t, "0600ff07061000000000000000002000"+"00000000a4a3a2a0000000080100000001000008010000000200000801000000"); !bytes.Equal(open, want) {
		t.Errorf("Open Session is\n%x, want\n%x", open, want)
	}
}

// TestCapturedSession opens the first answer in that same session, with the keys that its beginning leads to.
func TestCapturedSession(t *testing.T) {
	payload := func(datagram string) []byte {
		packet, ok := parsePacket(decode(t, datagram))
		if !ok {
			t.Fatalf("%s is not taken", datagram)
		}
		return packet.data
	}
	var rakp1 rmcpplus.RAKPMessage1
	rakp2 := rmcpplus.RAKPMessage2{AuthAlg: types.AuthAlg_HMAC_SHA1}
	if err := errors.Join(
		rakp1.Unpack(payload("0600ff070612000000000000000021000000000002000000fc0be04a982f740273eb950f32655ce31400000561646d696e")),
		rakp2.Unpack(payload("0600ff07061300000000000000003c0000000000a4a3a2a0c488d1808166d4aae83f682552b5a777a123456789abcdefa123456789abcdef490bec87ec13dce583ae8d1b3f9c3cfc594fb5fd")),
	); err != nil {
		t.Fatal(err)
	}
	_, k1, k2, err := crypto.DeriveSessionKeys(types.AuthAlg_HMAC_SHA1, rakp1.RemoteConsoleRandomNumber[:], rakp2.ManagedSystemRandomNumber[:],
		rakp1.Role(), string(rakp1.Username), crypto.PadPassword20([]byte("s1der0")))
	if err != nil {
		t.Fatal(err)
	}
	cover := &cover20{id: rakp1.ManagedSystemSessionID, consoleID: rakp2.RemoteConsoleSessionID, integrity: types.IntegrityAlg_HMAC_SHA1_96, k1: k1, k2: k2}
	datagram := decode(t, "0600ff0706c0a4a3a2a00100000020003bd708ad6487332f20ba58ec2ff00684e02039239a8b0a1cf71207bd485ef148ffff020739e91c0596070fa32dc35215")
	packet, _ := parsePacket(datagram)
	message, ok := cover.open(packet)
	if !ok {
		t.Fatal("the BMC's answer is not taken")
	}
	// As administrator, says Set Session Privilege Level.
	answer, ok := parseAnswer(message, types.CommandSetSessionPrivilegeLevel, message[4]>>2)
	if want := []byte{0, 4}; !ok || !bytes.Equal(answer, want) {
		t.Errorf("the answer is %x, want %x", answer, want)
	}
	if _, ok := cover.open(packet); ok {
		t.Error("a copy of it is taken")
	}
	for i := rmcpSize; i < len(datagram); i++ {
		cover.received = 0
		changed := bytes.Clone(datagram)
		changed[i] ^= 1
		if packet, ok := parsePacket(changed); ok {
			if _, ok := cover.open(packet); ok {
				t.Errorf("it is taken with byte %d changed", i)
			}
		}
	}
}

func TestParseAnswer(t *testing.T) {
	command := types.CommandGetChassisStatus
	for name, test := range map[string]struct {
		answer string
		want   []byte
	}{
		"good":               {"8104 7b 2004 01 00 210040 9a", []byte{0, 0x21, 0, 0x40}},
		"checksums wrong":    {"8104 00 2004 01 00 210040 00", []byte{0, 0x21, 0, 0x40}},
		"code only":          {"8104 7b 2004 01 c1 1a", []byte{0xc1}},
		"too short":          {"8104 7b 2004 01 c1", nil},
		"another number":     {"8104 7b 2008 01 00 210040 9a", nil},
		"another command":    {"8104 7b 2004 02 00 210040 9a", nil},
		"a request":          {"8100 7b 2004 01 00 210040 9a", nil},
		"nothing whatsoever": {"", nil},
	} {
		got, ok := parseAnswer(decode(t, string(bytes.ReplaceAll([]byte(test.answer), []byte(" "), nil))), command, 1)
		if ok != (test.want != nil) || !bytes.Equal(got, test.want) {
			t.Errorf("%s: %x, %t, want %x", name, got, ok, test.want)
		}
	}
}

func TestParseCapabilities(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  []byte
		version Version
		want    capabilities
	}{
		{"2.0", []byte{0, 1, 0x80, 4, 2, 0, 0, 0, 0}, IPMI20, capabilities{}},
		{"2.0 with a key", []byte{0, 1, 0x96, 0x24, 3, 0, 0, 0, 0}, IPMI20, capabilities{auth: 0x16, hasKey: true}},
		{"1.5 only", []byte{0, 1, 0x16, 4, 0, 0, 0, 0, 0}, IPMI20, capabilities{auth: 0x16, lacks: true}},
		{"1.5 only, extended", []byte{0, 1, 0x96, 4, 1, 0, 0, 0, 0}, IPMI20, capabilities{auth: 0x16, lacks: true}},
		{"1.5", []byte{0, 1, 0x16, 4, 0, 0, 0, 0, 0}, IPMI15, capabilities{auth: 0x16}},
		{"no 1.5", []byte{0, 1, 0, 4, 0, 0, 0, 0, 0}, IPMI15, capabilities{lacks: true}},
		// It may be able to, and the next question tells.
		{"refused", []byte{0xcc}, IPMI20, capabilities{}},
		{"short", []byte{0, 1, 0x80}, IPMI20, capabilities{}},
	} {
		if got := parseCapabilities(test.answer, test.version); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestChooseAuth(t *testing.T) {
	for offered, want := range map[byte]types.AuthType{
		0x17: types.AuthTypeMD5, 0x13: types.AuthTypeMD2, 0x11: types.AuthTypePassword, 0x01: types.AuthTypeNone, 0x20: types.AuthTypeNone,
	} {
		if got := chooseAuth(offered); got != want {
			t.Errorf("%#02x: %v, want %v", offered, got, want)
		}
	}
}

// TestCover15 counts as BMCs do: from the number that they begin with, never 0.
func TestCover15(t *testing.T) {
	cover := &cover15{auth: types.AuthTypeMD5, id: 7, next: 0xfffffffe, password: "password"}
	for _, want := range []uint32{0xfffffffe, 0xffffffff, 1, 2} {
		datagram, err := cover.seal([]byte{1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		packet, ok := parsePacket(datagram)
		if !ok || packet.sequence != want {
			t.Fatalf("sequence is %#x, want %#x", packet.sequence, want)
		}
		if message, ok := cover.open(packet); !ok || !bytes.Equal(message, []byte{1, 2, 3}) {
			t.Errorf("%#x: %x, %t", want, message, ok)
		}
		packet.data[0]++
		if _, ok := cover.open(packet); ok {
			t.Errorf("%#x: another message with the same code is taken", want)
		}
	}
}

func TestStatusError(t *testing.T) {
	for status, want := range map[types.RmcpStatusCode]error{
		types.RmcpStatusCodeNoResToCreateSess:          ErrSessions,
		types.RmcpStatusCodeNoCipherSuiteMatch:         errSuite,
		types.RmcpStatusCodeInvalidAuthAlg:             errSuite,
		types.RmcpStatusCodeUnauthorizedRoleOfPriLevel: ErrPrivilege,
		types.RmcpStatusCodeUnauthorizedName:           ErrUser,
		types.RmcpStatusCodeInvalidIntegrityCheckValue: ErrPassword,
		types.RmcpStatusCodeIllegalParameter:           nil,
		0xee:                                           nil,
	} {
		err := statusError("step", status)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%#02x: %v, want %v", uint8(status), err, want)
		}
	}
}
