package simulator

import (
	"crypto/hmac"
	"crypto/rand"
	"slices"
	"time"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"
)

// session is one from Open Session on.
type session struct {
	console   uint32
	auth      types.AuthAlg
	integrity types.IntegrityAlg
	used      time.Time

	rakp1     rmcpplus.RAKPMessage1
	random    [16]byte
	user      *User // nil when there is none of that name
	active    bool
	k1, k2    []byte
	level     types.PrivilegeLevel
	sent, got uint32
}

// answer is what the BMC answers to a datagram. Nil when it does not.
func (s *Server) answer(datagram []byte) []byte {
	if s.lies.Silent || len(datagram) < 5 || datagram[0] != types.RmcpVersion || datagram[3] != types.MessageClassIPMI {
		return nil
	}
	s.expire()
	if types.AuthType(datagram[4]) != types.AuthTypeRMCPPlus {
		return s.answerOutside(datagram)
	}
	id, sequence, kind, flags, payload, ok := protocol.ParseRMCPPlusHeader(datagram)
	if !ok {
		return nil
	}
	switch types.PayloadType(kind) {
	case types.PayloadTypeRmcpOpenSessionRequest:
		return setup(types.PayloadTypeRmcpOpenSessionResponse, s.open(payload))
	case types.PayloadTypeRAKPMessage1:
		return setup(types.PayloadTypeRAKPMessage2, s.meet(payload))
	case types.PayloadTypeRAKPMessage3:
		return setup(types.PayloadTypeRAKPMessage4, s.prove(payload))
	case types.PayloadTypeIPMI:
		if session := s.sessions[id]; session != nil && session.active {
			return s.answerInside(id, session, sequence, flags, payload, datagram)
		}
	}
	return nil
}

func setup(kind types.PayloadType, payload []byte) []byte {
	if payload == nil {
		return nil
	}
	return protocol.BuildRMCPPlusPacket(byte(kind), 0, 0, 0, payload)
}

// expire ends sessions that were not used for long.
func (s *Server) expire() {
	for id, session := range s.sessions {
		if s.config.Now().Sub(session.used) > s.config.SessionTimeout {
			delete(s.sessions, id)
		}
	}
}

// open answers Open Session (IPMI v2.0, 13.17).
func (s *Server) open(payload []byte) []byte {
	var request rmcpplus.OpenSessionRequest
	if request.Unpack(payload) != nil {
		return nil
	}
	response := rmcpplus.OpenSessionResponse{MessageTag: request.MessageTag, RemoteConsoleSessionID: request.RemoteConsoleSessionID}
	auth, integrity, crypt := types.AuthAlg(request.AuthAlg), types.IntegrityAlg(request.IntegrityAlg), types.CryptAlg(request.CryptAlg)
	taken := slices.ContainsFunc(s.config.Suites, func(suite uint8) bool {
		a, i, c, _ := types.GetCipherSuiteAlgorithms(types.CipherSuiteID(suite))
		return a == auth && i == integrity && c == crypt
	})
	switch {
	case !taken && s.lies.SilentSuites:
		return nil
	case !taken:
		response.RmcpStatusCode = types.RmcpStatusCodeNoCipherSuiteMatch
		return response.Pack()
	case len(s.sessions) >= s.config.Sessions:
		response.RmcpStatusCode = types.RmcpStatusCodeNoResToCreateSess
		return response.Pack()
	}
	s.lastID++
	s.sessions[s.lastID] = &session{console: request.RemoteConsoleSessionID, auth: auth, integrity: integrity, used: s.config.Now()}
	response.ManagedSystemSessionID = s.lastID
	response.MaximumPrivilegeLevel = uint8(types.PrivilegeLevelAdministrator)
	if s.lies.OtherSuite {
		auth, integrity, crypt = types.AuthAlg_None, types.IntegrityAlg_None, types.CryptAlg_None
	}
	response.AuthenticationPayload, response.IntegrityPayload, response.ConfidentialityPayload = rmcpplus.NewAlgorithmPayloads(auth, integrity, crypt)
	return response.Pack()
}

// forget ends a session that has not begun. One that has is not ended by packets that nobody needs a password for.
func (s *Server) forget(id uint32) {
	if session := s.sessions[id]; session != nil && !session.active {
		delete(s.sessions, id)
	}
}

// guid is the machine's, in RAKP messages.
func guid() [16]byte { return [16]byte{0xa1, 0x23, 0x45, 0x67} }

// meet answers RAKP message 1 with 2 (IPMI v2.0, 13.20 and 13.21).
func (s *Server) meet(payload []byte) []byte {
	var request rmcpplus.RAKPMessage1
	if request.Unpack(payload) != nil {
		return nil
	}
	refuse := func(status types.RmcpStatusCode) []byte {
		s.forget(request.ManagedSystemSessionID)
		return (&rmcpplus.RAKPMessage2{MessageTag: request.MessageTag, RmcpStatusCode: status}).Pack()
	}
	session := s.sessions[request.ManagedSystemSessionID]
	if session == nil || session.active {
		return refuse(types.RmcpStatusCodeInvalidSessionID)
	}
	session.rakp1 = request
	session.user = nil
	for i, user := range s.config.Users {
		if user.Name == string(request.Username) && !user.Disabled {
			session.user = &s.config.Users[i]
		}
	}
	switch {
	case session.user == nil && s.lies.TellUnknownUser:
		return refuse(types.RmcpStatusCodeUnauthorizedName)
	case session.user != nil && request.RequestedMaximumPrivilegeLevel > session.user.most():
		return refuse(types.RmcpStatusCodeUnauthorizedRoleOfPriLevel)
	}
	_, _ = rand.Read(session.random[:]) // never fails
	id := guid()
	code, err := crypto.RAKP2AuthCode(session.auth, session.console, request.ManagedSystemSessionID, request.RemoteConsoleRandomNumber[:],
		session.random[:], id[:], request.Role(), string(request.Username), session.password())
	if err != nil {
		return nil
	}
	return (&rmcpplus.RAKPMessage2{
		MessageTag: request.MessageTag, RemoteConsoleSessionID: session.console,
		ManagedSystemRandomNumber: session.random, ManagedSystemGUID: id, KeyExchangeAuthenticationCode: code,
	}).Pack()
}

// prove answers RAKP message 3 with 4 (IPMI v2.0, 13.22 and 13.23).
func (s *Server) prove(payload []byte) []byte {
	if len(payload) < 8 {
		return nil
	}
	var request rmcpplus.RAKPMessage3
	id, _, _ := types.UnpackUint32L(payload, 4)
	session := s.sessions[id]
	refuse := func(status types.RmcpStatusCode) []byte {
		s.forget(id)
		return (&rmcpplus.RAKPMessage4{MessageTag: payload[0], RmcpStatusCode: status}).Pack()
	}
	switch {
	case session == nil || session.active:
		return refuse(types.RmcpStatusCodeInvalidSessionID)
	case payload[1] != 0:
		s.forget(id)
		return nil
	case request.Unpack(payload, session.auth) != nil:
		return refuse(types.RmcpStatusCodeInvalidIntegrityCheckValue)
	}
	console, role, name := session.rakp1.RemoteConsoleRandomNumber[:], session.rakp1.Role(), string(session.rakp1.Username)
	want, err := crypto.RAKP3AuthCode(session.auth, session.random[:], session.console, role, name, session.password())
	if err != nil || session.user == nil || !hmac.Equal(want, request.KeyExchangeAuthenticationCode) {
		return refuse(types.RmcpStatusCodeInvalidIntegrityCheckValue)
	}
	key := session.password()
	if s.config.Key != "" {
		key = crypto.PadPassword20([]byte(s.config.Key))
	}
	sik, k1, k2, err := crypto.DeriveSessionKeys(session.auth, console, session.random[:], role, name, key)
	if err != nil {
		return nil
	}
	machine := guid()
	proof, err := crypto.RAKP4ICV(session.auth, console, id, machine[:], sik)
	if err != nil {
		return nil
	}
	session.k1, session.k2, session.active, session.level = k1, k2, true, types.PrivilegeLevelUser
	s.logins++
	return (&rmcpplus.RAKPMessage4{MessageTag: payload[0], MgmtConsoleSessionID: session.console, IntegrityCheckValue: proof}).Pack()
}

func (u *User) most() types.PrivilegeLevel {
	if u.Privilege == 0 {
		return types.PrivilegeLevelAdministrator
	}
	return u.Privilege
}

// password is the user's, or one that nobody has.
func (s *session) password() []byte {
	if s.user == nil {
		unknown := make([]byte, 20)
		_, _ = rand.Read(unknown) // never fails
		return unknown
	}
	return crypto.PadPassword20([]byte(s.user.Password))
}

// unseal returns a packet's message when it is authentic and new. Consoles may leave out encryption, packet by packet.
func (s *session) unseal(sequence uint32, flags byte, payload, datagram []byte) ([]byte, bool) {
	length, _ := crypto.IntegrityAuthCodeLen(s.integrity)
	end := len(datagram) - length
	if flags&types.PayloadFlagAuthenticated == 0 || end < 16 || sequence <= s.got {
		return nil, false
	}
	want, err := s.code(datagram[4:end])
	if err != nil || !hmac.Equal(want, datagram[end:]) {
		return nil, false
	}
	s.got = sequence
	if flags&types.PayloadFlagEncrypted == 0 {
		return payload, true
	}
	if len(payload) < 32 || len(payload)%16 != 0 {
		return nil, false
	}
	message, err := crypto.DecryptAESPayload(payload, s.k2)
	return message, err == nil
}

// seal makes a datagram of a message.
func (s *session) seal(message []byte) []byte {
	payload, err := crypto.EncryptAESPayload(message, s.k2, crypto.RandomBytes(16))
	if err != nil {
		return nil
	}
	s.sent++
	datagram := protocol.BuildRMCPPlusPacket(byte(types.PayloadTypeIPMI), types.PayloadFlagEncrypted|types.PayloadFlagAuthenticated, s.console, s.sent, payload)
	padding := types.IntegrityPadLen(12, len(payload))
	datagram = append(datagram, slices.Repeat([]byte{0xff}, padding)...)
	datagram = append(datagram, byte(padding), 7)
	code, err := s.code(datagram[4:])
	if err != nil {
		return nil
	}
	return append(datagram, code...)
}

// code is a packet's authentication code. With MD5-128, which is suite 12's, it is made with the password, padded: go-ipmi
// leaves that to us.
func (s *session) code(signed []byte) ([]byte, error) {
	return crypto.SessionIntegrityAuthCode(s.integrity, signed, s.k1, string(s.password()))
}
