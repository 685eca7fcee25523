package lan

import (
	"bytes"
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

func FuzzParsePacket(f *testing.F) {
	other := newCover(17)
	other.k1 = []byte("the key of another session")
	sealed, err := other.seal(message(types.CommandGetDeviceID, 1, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(packet20(types.PayloadTypeRAKPMessage2, make([]byte, 40)))
	f.Add(packet15(types.AuthTypeNone, 0, 0, nil, message(types.CommandGetDeviceID, 1, nil)))
	f.Add(packet15(types.AuthTypeMD5, 1, 2, make([]byte, 16), []byte{1, 2, 3}))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		packet, ok := parsePacket(datagram)
		if !ok {
			return
		}
		if len(packet.data)+len(packet.trailer)+len(packet.code) > len(datagram) {
			t.Errorf("more in it than there is: %+v", packet)
		}
		for _, suite := range []Suite{17, 3, 8, 12} {
			if _, ok := newCover(suite).open(packet); ok {
				t.Errorf("a packet that nobody has made is the BMC's: %x", datagram)
			}
		}
		if data, ok := parseAnswer(packet.data, types.CommandGetDeviceID, 1); ok && len(data) == 0 {
			t.Error("an answer without completion code")
		}
		(&cover15{auth: types.AuthTypeMD5}).open(packet)
		uncovered{}.open(packet)
	})
}

// FuzzOpen: authentic packets with anything in them.
func FuzzOpen(f *testing.F) {
	f.Add(uint8(0), true, []byte{}, []byte{0, 7})
	f.Add(uint8(1), false, message(types.CommandGetDeviceID, 1, nil), []byte{0xff, 1, 7})
	f.Add(uint8(2), true, make([]byte, 32), []byte{0, 7})
	f.Add(uint8(3), true, make([]byte, 48), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, encrypted bool, data, trailer []byte) {
		cover := newCover([]Suite{17, 3, 8, 12}[which%4])
		kind := byte(types.PayloadTypeIPMI) | types.PayloadFlagAuthenticated
		if encrypted {
			kind |= types.PayloadFlagEncrypted
		}
		datagram := appendHeader20(appendRMCP(nil), kind, cover.consoleID, 1, len(data))
		datagram = append(append(datagram, data...), trailer...)
		code, err := cover.code(datagram[rmcpSize:])
		if err != nil {
			t.Fatal(err)
		}
		packet, ok := parsePacket(append(datagram, code...))
		if !ok {
			return
		}
		if message, ok := cover.open(packet); ok {
			parseAnswer(message, types.CommandGetDeviceID, 1)
		}
		if _, ok := cover.open(packet); ok {
			t.Error("a copy is taken")
		}
	})
}

// script is a connection from which the same answers come, with the tags of the questions.
type script struct {
	net.Conn
	answers [][]byte
	asked   []byte
}

func (s *script) Write(datagram []byte) (int, error) {
	s.asked = bytes.Clone(datagram)
	return len(datagram), nil
}

func (s *script) Read(buffer []byte) (int, error) {
	if len(s.answers) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	answer := bytes.Clone(s.answers[0])
	s.answers = s.answers[1:]
	if len(answer) > 16 && len(s.asked) > 16 {
		answer[16] = s.asked[16]
	}
	return copy(buffer, answer), nil
}

func (s *script) SetReadDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr            { return &net.UDPAddr{} }
func (s *script) Close() error                    { return nil }

// FuzzLogin: whatever the BMC answers while a session begins, there is an error or a session, and an end.
func FuzzLogin(f *testing.F) {
	f.Add(false, []byte{1, 0x80, 4, 2, 0, 0, 0, 0}, make([]byte, 36), make([]byte, 72), make([]byte, 24))
	f.Add(true, []byte{1, 0x16, 4, 0, 0, 0, 0, 0}, make([]byte, 36), make([]byte, 72), make([]byte, 24))
	f.Fuzz(func(t *testing.T, old bool, known, opened, rakp2, rakp4 []byte) {
		config := Config{User: "admin", Password: "password", Suites: []Suite{17, 3, 8, 12}, Wait: 1}
		if old {
			config.Version = IPMI15
		}
		answer := func(number uint8, data []byte) []byte {
			return packet15(types.AuthTypeNone, 0, 0, nil, append([]byte{0x81, byte(types.NetFnAppRequest|1) << 2, 0, 0x20, number << 2, types.CommandGetChannelAuthCapabilities.ID}, append(data, 0)...))
		}
		conn := &script{answers: [][]byte{
			answer(1, append([]byte{0}, known...)),
			packet20(types.PayloadTypeRmcpOpenSessionResponse, opened),
			packet20(types.PayloadTypeRAKPMessage2, rakp2),
			packet20(types.PayloadTypeRAKPMessage4, rakp4),
		}}
		if session, err := login(context.Background(), &socket{conn: conn, wait: 1}, config); err == nil {
			t.Errorf("a session with nobody: %+v", session)
		}
	})
}

// newCover has the keys of no session in particular.
func newCover(suite Suite) *cover20 {
	_, integrity, _, _ := types.GetCipherSuiteAlgorithms(types.CipherSuiteID(suite))
	return &cover20{id: 1, consoleID: 1, integrity: integrity, k1: make([]byte, 32), k2: make([]byte, 32), password: "password"}
}
