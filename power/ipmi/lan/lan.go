package lan

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Version is a version of IPMI.
type Version int

// The versions.
const (
	IPMI20 Version = iota // lanplus
	IPMI15                // lan
)

// Suite is a cipher suite of RMCP+, by its number in IPMI v2.0 table 22-20.
type Suite uint8

// Limits of names and passwords, in bytes.
const (
	MaxUser       = 16
	MaxPassword   = 20
	MaxPassword15 = 16
)

// Tries are how often a datagram is sent. A BMC that has just answered is not sent as many as one that may be starting.
const (
	triesFirst   = 4
	triesSetup   = 3
	triesSuite   = 2
	triesCommand = 4
)

// Config says with which BMC, as whom and how.
type Config struct {
	// Address is HOST:PORT.
	Address string
	// User and Password have MaxUser and MaxPassword bytes at most, and MaxPassword15 with IPMI 1.5.
	User, Password string
	Version        Version
	// Suites are tried in this order. Of no use with IPMI 1.5.
	Suites []Suite
	// Wait is how long the answer to the first datagram is waited for, 1 s when zero: the second's as long, and then twice
	// as long for each one.
	Wait time.Duration
}

// Session is a session with a BMC. It takes one call at a time.
type Session struct {
	socket *socket
	cover  cover
	// id is by what the BMC knows the session.
	id uint32
	// suite is what was agreed on. 0 with IPMI 1.5.
	suite Suite
	// number is the last message's.
	number uint8
}

// cover is what a session puts around messages.
type cover interface {
	// seal makes a datagram of a message. Each time it is another one, by which BMCs tell a second one from a copy.
	seal(message []byte) ([]byte, error)
	// open returns a packet's message when it is the session's and nobody else's.
	open(packet packet) ([]byte, bool)
}

// Dial begins a session whose user is administrator, or operator if that is all that the user may be. It ends with the
// context, and by itself when the BMC is silent.
func Dial(ctx context.Context, config Config) (*Session, error) {
	config.Wait = cmp.Or(config.Wait, time.Second)
	socket, err := dial(ctx, config.Address, config.Wait)
	if err != nil {
		return nil, err
	}
	session, err := login(ctx, socket, config)
	if err != nil {
		_ = socket.conn.Close() // nothing was left in it
		return nil, err
	}
	return session, nil
}

func login(ctx context.Context, socket *socket, config Config) (*Session, error) {
	known, err := askCapabilities(ctx, socket, config.Version)
	if err != nil {
		return nil, err
	}
	if config.Version == IPMI15 {
		return login15(ctx, socket, config, known)
	}
	return login20(ctx, socket, config, known)
}

// capabilities are the answer to Get Channel Authentication Capabilities, IPMI v2.0 table 22-15. All false when the BMC
// refuses to say.
type capabilities struct {
	auth   byte // a bit for each types.AuthType
	hasKey bool // Kg, the BMC's own key
	lacks  bool // the version that was asked for
}

func parseCapabilities(answer []byte, version Version) capabilities {
	if len(answer) < 5 || answer[0] != 0 {
		return capabilities{}
	}
	known := capabilities{auth: answer[2] & 0x3f}
	extended := answer[2]&0x80 != 0
	if version == IPMI15 {
		known.lacks = known.auth == 0
	} else {
		known.lacks = !extended || answer[4]&0x02 == 0
		known.hasKey = extended && answer[3]&0x20 != 0
	}
	return known
}

// askCapabilities is how every session begins, and what tells whether anybody is there.
func askCapabilities(ctx context.Context, socket *socket, version Version) (capabilities, error) {
	const thisChannel, extended = 0x0e, 0x80
	channel := byte(thisChannel)
	if version == IPMI20 {
		channel |= extended
	}
	session := &Session{socket: socket, cover: uncovered{}}
	answer, err := session.exchange(ctx, socket.schedule(triesFirst), types.CommandGetChannelAuthCapabilities, []byte{channel, byte(types.PrivilegeLevelAdministrator)})
	if errors.Is(err, errSilence) {
		return capabilities{}, fmt.Errorf("%w: nothing comes back from %s", ErrUnreachable, socket.conn.RemoteAddr())
	}
	if err != nil {
		return capabilities{}, err
	}
	known := parseCapabilities(answer, version)
	if known.lacks {
		return known, ErrVersion
	}
	return known, nil
}

// Suite is the cipher suite of the session. 0 with IPMI 1.5.
func (s *Session) Suite() Suite { return s.suite }

// Request is a command.
type Request struct {
	Command types.Command
	Data    []byte
	// Once is for what must not be done twice. It is not sent again when no answer comes in time: BMCs should know a
	// command that they have done already, and not all do.
	Once bool
}

// Exchange sends a command, and again when no answer comes, and returns the answer's completion code and data.
func (s *Session) Exchange(ctx context.Context, request Request) ([]byte, error) {
	waits := s.socket.schedule(triesCommand)
	if request.Once {
		waits = s.socket.once(triesCommand)
	}
	answer, err := s.exchange(ctx, waits, request.Command, request.Data)
	if errors.Is(err, errSilence) {
		return nil, fmt.Errorf("%s: %w", request.Command.Name, ErrNoAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request.Command.Name, err)
	}
	return answer, nil
}

func (s *Session) exchange(ctx context.Context, waits []time.Duration, command types.Command, data []byte) ([]byte, error) {
	// The number stays while a message is sent again: that is how BMCs know that they have done it already.
	s.number = (s.number + 1) & types.IPMIRequesterSequenceMax
	var answer []byte
	err := s.socket.exchange(ctx, waits,
		func() ([]byte, error) { return s.cover.seal(message(command, s.number, data)) },
		func(datagram []byte) bool {
			packet, ok := parsePacket(datagram)
			if !ok {
				return false
			}
			message, ok := s.cover.open(packet)
			if !ok {
				return false
			}
			answer, ok = parseAnswer(message, command, s.number)
			return ok
		})
	return answer, err
}

// Close ends the session.
func (s *Session) Close(ctx context.Context) error {
	return errors.Join(s.tell(ctx), s.socket.conn.Close())
}

// tell tells the BMC, once, that the session ends: it has few of them.
func (s *Session) tell(ctx context.Context) error {
	_, err := s.exchange(ctx, s.socket.schedule(1), types.CommandCloseSession, binary.LittleEndian.AppendUint32(nil, s.id))
	return err
}

// raise makes the session's user what the user may be. Sessions begin as plain users.
func (s *Session) raise(ctx context.Context, level types.PrivilegeLevel) error {
	command := types.CommandSetSessionPrivilegeLevel
	answer, err := s.exchange(ctx, s.socket.schedule(triesSetup), command, []byte{byte(level)})
	if err != nil {
		return fmt.Errorf("%s: %w", command.Name, err)
	}
	err = codeError(command, answer, map[byte]error{
		0x80: ErrPrivilege, 0x81: ErrPrivilege, byte(types.CodeInsufficientPrivilege): ErrPrivilege,
	})
	if errors.Is(err, ErrPrivilege) && level > types.PrivilegeLevelOperator {
		return s.raise(ctx, types.PrivilegeLevelOperator)
	}
	return err
}

// uncovered is for commands outside sessions, which are IPMI 1.5's also when what follows is IPMI 2.0 (v2.0, 13.15):
// OpenIPMI's simulator is silent otherwise.
type uncovered struct{}

func (uncovered) seal(message []byte) ([]byte, error) {
	return packet15(types.AuthTypeNone, 0, 0, nil, message), nil
}

func (uncovered) open(packet packet) ([]byte, bool) {
	return packet.data, packet.auth == types.AuthTypeNone && packet.session == 0
}
