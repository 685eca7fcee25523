package lan

import (
	"context"
	"errors"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"
)

// login15 begins a session of IPMI 1.5, IPMI v2.0 chapter 13.14.
func login15(ctx context.Context, socket *socket, config Config, known capabilities) (*Session, error) {
	cover := &cover15{auth: chooseAuth(known.auth), password: config.Password}
	session := &Session{socket: socket, cover: uncovered{}}
	challenge, err := session.challenge(ctx, cover.auth, config.User)
	if err != nil {
		return nil, err
	}
	// From here on packets are authenticated. The BMC tells its own numbers in the answer to the first of them.
	session.cover, cover.id = cover, challenge.TemporarySessionID
	activated, err := session.activate(ctx, cover.auth, challenge)
	if err != nil {
		return nil, err
	}
	session.id = activated.SessionID
	cover.id, cover.auth, cover.next = activated.SessionID, activated.AuthType, activated.InitialInboundSequenceNumber
	if err := session.raise(ctx, types.PrivilegeLevelAdministrator); err != nil {
		_ = session.tell(ctx) // nothing is left to do about it
		return nil, err
	}
	return session, nil
}

// chooseAuth takes the best kind of authentication that the BMC has.
func chooseAuth(offered byte) types.AuthType {
	for _, auth := range []types.AuthType{types.AuthTypeMD5, types.AuthTypeMD2, types.AuthTypePassword} {
		if offered&(1<<auth) != 0 {
			return auth
		}
	}
	return types.AuthTypeNone
}

func (s *Session) challenge(ctx context.Context, auth types.AuthType, user string) (*app.GetSessionChallengeResponse, error) {
	request, response := app.GetSessionChallengeRequest{AuthType: auth}, &app.GetSessionChallengeResponse{}
	copy(request.Username[:], user)
	return response, s.ask(ctx, &request, response, map[byte]error{0x81: ErrUser, 0x82: ErrUser})
}

func (s *Session) activate(ctx context.Context, auth types.AuthType, challenge *app.GetSessionChallengeResponse) (*app.ActivateSessionResponse, error) {
	request := app.ActivateSessionRequest{
		AuthTypeForSession: auth, Challenge: challenge.Challenge, InitialOutboundSequenceNumber: randomID(),
		MaxPrivilegeLevel: types.PrivilegeLevelAdministrator,
	}
	response := &app.ActivateSessionResponse{}
	kinds := map[byte]error{0x81: ErrSessions, 0x82: ErrSessions, 0x83: ErrSessions, 0x86: ErrPrivilege}
	err := s.ask(ctx, &request, response, kinds)
	if errors.Is(err, ErrPrivilege) {
		request.MaxPrivilegeLevel = types.PrivilegeLevelOperator
		err = s.ask(ctx, &request, response, kinds)
	}
	if errors.Is(err, ErrNoAnswer) {
		// The packet's code is made with the password, and BMCs drop packets whose code is wrong.
		return nil, fmt.Errorf("%w, or is silent for another reason", ErrPassword)
	}
	return response, err
}

// ask sends a command that a session begins with.
func (s *Session) ask(ctx context.Context, request types.Request, response types.Response, kinds map[byte]error) error {
	command := request.Command()
	answer, err := s.exchange(ctx, s.socket.schedule(triesSetup), command, request.Pack())
	switch {
	case errors.Is(err, errSilence):
		return fmt.Errorf("%s: %w", command.Name, ErrNoAnswer)
	case err != nil:
		return fmt.Errorf("%s: %w", command.Name, err)
	}
	if err := codeError(command, answer, kinds); err != nil {
		return err
	}
	if err := response.Unpack(answer[1:]); err != nil {
		return fmt.Errorf("%s: read answer: %w", command.Name, err)
	}
	return nil
}

// cover15 authenticates messages of a session of IPMI 1.5 (v2.0, 22.17.1).
type cover15 struct {
	auth     types.AuthType
	id       uint32
	next     uint32 // sequence number of the next packet
	password string
}

func (c *cover15) seal(message []byte) ([]byte, error) {
	code := c.code(c.auth, c.next, message)
	datagram := packet15(c.auth, c.id, c.next, code, message)
	// Before the BMC has named its first number it is 0, and 0 is never one later on.
	if c.next != 0 {
		c.next = max(c.next+1, 1)
	}
	return datagram, nil
}

func (c *cover15) open(packet packet) ([]byte, bool) {
	if packet.session != c.id || packet.auth != c.auth {
		return nil, false
	}
	if c.auth == types.AuthTypeNone {
		return packet.data, true
	}
	return packet.data, crypto.VerifyMultiSessionAuthCode(c.auth, []byte(c.password), c.id, packet.sequence, packet.data, packet.code)
}

func (c *cover15) code(auth types.AuthType, sequence uint32, message []byte) []byte {
	if auth == types.AuthTypeNone {
		return nil
	}
	return crypto.AuthCodeMultiSession(auth, []byte(c.password), c.id, sequence, message)
}
