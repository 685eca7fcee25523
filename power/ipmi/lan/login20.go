package lan

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"
)

// login20 begins a session of IPMI 2.0 with the first cipher suite that the BMC takes.
func login20(ctx context.Context, socket *socket, config Config, known capabilities) (*Session, error) {
	var suites, reasons []string
	tag := uint8(0)
	for _, suite := range config.Suites {
		session, err := loginSuite(ctx, &handshake{socket: socket, config: config, suite: suite, hasKey: known.hasKey, tag: &tag})
		if !errors.Is(err, errSuite) {
			return session, err
		}
		suites = append(suites, strconv.Itoa(int(suite)))
		if reason := err.Error(); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return nil, fmt.Errorf("%w %s: %s", ErrSuites, strings.Join(suites, ", "), strings.Join(reasons, "; "))
}

// loginSuite asks to be administrator, as everybody does and BMCs are tested with, and then to be what is enough.
func loginSuite(ctx context.Context, h *handshake) (*Session, error) {
	var session *Session
	var err error
	for _, h.level = range []types.PrivilegeLevel{types.PrivilegeLevelAdministrator, types.PrivilegeLevelOperator} {
		session, err = h.run(ctx)
		if !errors.Is(err, ErrPrivilege) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := session.raise(ctx, h.level); err != nil {
		_ = session.tell(ctx) // nothing is left to do about it
		return nil, err
	}
	return session, nil
}

// handshake is the beginning of a session, IPMI v2.0 chapter 13.15 and 13.17 to 13.24.
type handshake struct {
	socket *socket
	config Config
	suite  Suite
	hasKey bool
	// tag is the last message's. Answers have their question's.
	tag   *uint8
	level types.PrivilegeLevel

	auth      types.AuthAlg
	integrity types.IntegrityAlg
	crypt     types.CryptAlg

	consoleID, bmcID uint32
	rakp1            rmcpplus.RAKPMessage1
	rakp2            rmcpplus.RAKPMessage2
}

// run begins from the start when there is no answer to RAKP message 1. BMCs answer a second one with another random number,
// and when the first answer was only late, what is made with it looks like a wrong password to them.
func (h *handshake) run(ctx context.Context) (*Session, error) {
	for try := 1; ; try++ {
		if err := h.open(ctx); err != nil {
			return nil, err
		}
		err := h.meet(ctx, h.socket.once(try))
		switch {
		case err == nil:
			return h.prove(ctx)
		case try == triesSetup || !errors.Is(err, ErrNoAnswer):
			return nil, err
		}
		h.giveUp()
	}
}

// ask sends a message of a handshake until unpack takes an answer to it.
func (h *handshake) ask(ctx context.Context, waits []time.Duration, kind types.PayloadType, data []byte, unpack func([]byte) error) error {
	datagram := packet20(kind, data)
	return h.socket.exchange(ctx, waits,
		func() ([]byte, error) { return datagram, nil },
		func(datagram []byte) bool {
			packet, ok := parsePacket(datagram)
			return ok && packet.auth == types.AuthTypeRMCPPlus && packet.payload == kind+1 && packet.session == 0 &&
				len(packet.data) > 0 && packet.data[0] == data[0] && unpack(packet.data) == nil
		})
}

func (h *handshake) nextTag() uint8 {
	*h.tag++
	return *h.tag
}

// open agrees on the cipher suite and on the numbers of the session.
func (h *handshake) open(ctx context.Context) error {
	const step = "open session"
	var ok bool
	h.auth, h.integrity, h.crypt, ok = types.GetCipherSuiteAlgorithms(types.CipherSuiteID(h.suite))
	if !ok || h.auth == types.AuthAlg_None || h.integrity == types.IntegrityAlg_None || h.crypt != types.CryptAlg_AES_CBC_128 {
		return fmt.Errorf("%s: %w here, because it is not known or not safe", step, errSuite)
	}
	request := rmcpplus.OpenSessionRequest{MessageTag: h.nextTag(), RemoteConsoleSessionID: randomID()}
	request.AuthenticationPayload, request.IntegrityPayload, request.ConfidentialityPayload = rmcpplus.NewAlgorithmPayloads(h.auth, h.integrity, h.crypt)
	var response rmcpplus.OpenSessionResponse
	err := h.ask(ctx, h.socket.schedule(triesSuite), types.PayloadTypeRmcpOpenSessionRequest, request.Pack(), response.Unpack)
	switch {
	case errors.Is(err, errSilence):
		// There are BMCs that do not answer at all when they do not have a suite.
		return fmt.Errorf("%s: no answer, as if %w", step, errSuite)
	case err != nil:
		return fmt.Errorf("%s: %w", step, err)
	case response.RmcpStatusCode != types.RmcpStatusCodeNoErrors:
		return statusError(step, response.RmcpStatusCode)
	case types.AuthAlg(response.AuthAlg) != h.auth, types.IntegrityAlg(response.IntegrityAlg) != h.integrity, types.CryptAlg(response.CryptAlg) != h.crypt:
		return fmt.Errorf("%s: %w here, because the answer has other algorithms than asked for", step, errSuite)
	case response.RemoteConsoleSessionID != request.RemoteConsoleSessionID:
		return fmt.Errorf("%s: the BMC answers with the number of another session", step)
	}
	h.consoleID, h.bmcID = request.RemoteConsoleSessionID, response.ManagedSystemSessionID
	return nil
}

// meet tells the BMC the user's name. The answer proves that the BMC knows the password.
func (h *handshake) meet(ctx context.Context, waits []time.Duration) error {
	const step = "RAKP message 1"
	h.rakp1 = rmcpplus.RAKPMessage1{
		MessageTag: h.nextTag(), ManagedSystemSessionID: h.bmcID, NameOnlyLookup: true, RequestedMaximumPrivilegeLevel: h.level,
		UsernameLength: uint8(len(h.config.User)), Username: []byte(h.config.User),
	}
	_, _ = rand.Read(h.rakp1.RemoteConsoleRandomNumber[:]) // never fails
	h.rakp2 = rmcpplus.RAKPMessage2{AuthAlg: h.auth}
	err := h.ask(ctx, waits, types.PayloadTypeRAKPMessage1, h.rakp1.Pack(), h.rakp2.Unpack)
	switch {
	case errors.Is(err, errSilence):
		return fmt.Errorf("%s: %w", step, ErrNoAnswer)
	case err != nil:
		return fmt.Errorf("%s: %w", step, err)
	case h.rakp2.RmcpStatusCode != types.RmcpStatusCodeNoErrors:
		return statusError(step, h.rakp2.RmcpStatusCode)
	}
	code, err := crypto.RAKP2AuthCode(h.auth, h.consoleID, h.bmcID, h.rakp1.RemoteConsoleRandomNumber[:], h.rakp2.ManagedSystemRandomNumber[:],
		h.rakp2.ManagedSystemGUID[:], h.rakp1.Role(), h.config.User, h.password())
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	if !hmac.Equal(code, h.rakp2.KeyExchangeAuthenticationCode) {
		h.giveUp()
		return fmt.Errorf("%s: %w", step, ErrPassword)
	}
	return nil
}

// giveUp lets the BMC forget the session at once. It has few, and keeps unfinished ones for a minute.
func (h *handshake) giveUp() {
	rakp3 := rmcpplus.RAKPMessage3{MessageTag: h.nextTag(), RmcpStatusCode: types.RmcpStatusCodeInvalidIntegrityCheckValue, ManagedSystemSessionID: h.bmcID}
	_, _ = h.socket.conn.Write(packet20(types.PayloadTypeRAKPMessage3, rakp3.Pack())) // no answer is needed
}

// prove proves to the BMC that the password is known here.
func (h *handshake) prove(ctx context.Context) (*Session, error) {
	const step = "RAKP message 3"
	console, bmc, role := h.rakp1.RemoteConsoleRandomNumber[:], h.rakp2.ManagedSystemRandomNumber[:], h.rakp1.Role()
	code, err := crypto.RAKP3AuthCode(h.auth, bmc, h.consoleID, role, h.config.User, h.password())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	sik, k1, k2, err := crypto.DeriveSessionKeys(h.auth, console, bmc, role, h.config.User, h.password())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	rakp3 := rmcpplus.RAKPMessage3{MessageTag: h.nextTag(), ManagedSystemSessionID: h.bmcID, KeyExchangeAuthenticationCode: code}
	rakp4 := rmcpplus.RAKPMessage4{AuthAlg: h.auth}
	err = h.ask(ctx, h.socket.schedule(triesSetup), types.PayloadTypeRAKPMessage3, rakp3.Pack(), rakp4.Unpack)
	switch {
	case errors.Is(err, errSilence):
		return nil, fmt.Errorf("%s: %w", step, ErrNoAnswer)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", step, err)
	case rakp4.RmcpStatusCode != types.RmcpStatusCodeNoErrors:
		return nil, statusError(step, rakp4.RmcpStatusCode)
	}
	want, err := crypto.RAKP4ICV(h.auth, console, h.bmcID, h.rakp2.ManagedSystemGUID[:], sik)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", step, err)
	case hmac.Equal(want, rakp4.IntegrityCheckValue):
	case h.hasKey:
		return nil, fmt.Errorf("%s: %w", step, ErrKey)
	default:
		return nil, fmt.Errorf("%s: %w: its proof is wrong", step, ErrPassword)
	}
	return &Session{
		socket: h.socket, id: h.bmcID, suite: h.suite,
		cover: &cover20{id: h.bmcID, consoleID: h.consoleID, integrity: h.integrity, k1: k1, k2: k2, password: string(h.password())},
	}, nil
}

func (h *handshake) password() []byte { return crypto.PadPassword20([]byte(h.config.Password)) }

// randomID is the number of a session, which is not 0.
func randomID() uint32 {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return binary.LittleEndian.Uint32(id[:]) | 1
}
