// Package bmctest is a BMC for tests that is asked from inside its machine: it does what
// the IPMI specification v2.0 says of users and LAN settings, and what a test changes
// about that.
package bmctest

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"sync"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// Account is a user.
type Account struct {
	Name, Password string
	Enabled        bool
	// Access is the channel, with flags, and the privilege that were set.
	Access [2]byte
}

// Theirs is a user that is there from the first, as number 2.
func Theirs() Account { return Account{Name: "ADMIN", Password: "theirs", Enabled: true} }

// BMC has exported fields for a test to change before it is asked.
type BMC struct {
	// LANs are the addresses of the channels that are networks.
	LANs map[byte]netip.Addr
	Port uint16
	// Last is the highest number of a user, Fixed how many have fixed names.
	Last, Fixed byte
	// Mode is the access mode of the channels.
	Mode byte
	// Change answers in place of the BMC, nil for as usual.
	Change func(lan.Request) []byte
	// Fails is the error of each command, in place of an answer.
	Fails error
	// Hangs has a command return with its context only.
	Hangs bool

	mu    sync.Mutex
	users map[byte]*Account
	asked int
}

// New is a BMC in good order, with one user.
func New() *BMC {
	theirs := Theirs()
	return &BMC{
		LANs: map[byte]netip.Addr{1: netip.MustParseAddr("10.0.9.7")}, Port: 623, Last: 10, Fixed: 1, Mode: 2,
		users: map[byte]*Account{2: &theirs},
	}
}

// Number is the user with a number.
func (b *BMC) Number(n byte) Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users[n] == nil {
		return Account{}
	}
	return *b.users[n]
}

// Named is the user with a name, the zero Account when there is none.
func (b *BMC) Named(name string) Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, user := range b.users {
		if user.Name == name {
			return *user
		}
	}
	return Account{}
}

// Asked is how many commands there were.
func (b *BMC) Asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// Exchange answers a command.
func (b *BMC) Exchange(ctx context.Context, request lan.Request) ([]byte, error) {
	if b.Hangs {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.Change != nil {
		if answer := b.Change(request); answer != nil {
			return answer, nil
		}
	}
	if b.Fails != nil {
		return nil, b.Fails
	}
	return b.answer(request.Command.Key(), request.Data), nil
}

// Close ends nothing.
func (b *BMC) Close(context.Context) error { return nil }

// Completion codes.
const (
	codeNoCommand    = 0xc1
	codeFieldInvalid = 0xcc
	codeMismatch     = 0x80
)

func (b *BMC) answer(command any, data []byte) []byte {
	switch command {
	case types.CommandGetChannelInfo.Key():
		if _, is := b.LANs[data[0]]; is {
			return []byte{0, data[0], 0x84, 1, 0, 0, 0, 0, 0, 0}
		}
		return []byte{codeFieldInvalid}
	case types.CommandGetChannelAccess.Key():
		return []byte{0, b.Mode, 4}
	case types.CommandGetLanConfigParam.Key():
		return b.parameter(data[0], data[1])
	case types.CommandGetUserAccess.Key():
		enabled := byte(0x80)
		if user := b.users[data[1]]; user != nil && user.Enabled {
			enabled = 0x40
		}
		return []byte{0, b.Last, enabled | 1, b.Fixed, 0}
	case types.CommandGetUsername.Key():
		name := make([]byte, 16)
		if user := b.users[data[0]]; user != nil {
			copy(name, user.Name)
		}
		return append([]byte{0}, name...)
	case types.CommandSetUsername.Key():
		b.user(data[0]).Name = strings.TrimRight(string(data[1:]), "\x00")
	case types.CommandSetUserAccess.Key():
		b.user(data[1]).Access = [2]byte{data[0], data[2]}
	case types.CommandSetUserPassword.Key():
		return b.password(b.user(data[0]&0x3f), data[1], strings.TrimRight(string(data[2:]), "\x00"))
	default:
		return []byte{codeNoCommand}
	}
	return []byte{0}
}

func (b *BMC) user(number byte) *Account {
	if b.users[number] == nil {
		b.users[number] = &Account{}
	}
	return b.users[number]
}

func (b *BMC) parameter(channel, number byte) []byte {
	const revision = 0x11
	ip, is := b.LANs[channel]
	switch {
	case !is:
		return []byte{codeFieldInvalid}
	case number == 3:
		return append([]byte{0, revision}, ip.AsSlice()...)
	case number == 4:
		return []byte{0, revision, 2}
	case number == 8:
		return binary.LittleEndian.AppendUint16([]byte{0, revision}, b.Port)
	}
	return []byte{0x80}
}

func (b *BMC) password(user *Account, operation byte, text string) []byte {
	switch operation {
	case 0:
		user.Enabled = false
	case 1:
		user.Enabled = true
	case 2:
		user.Password = text
	default:
		if user.Password != text {
			return []byte{codeMismatch}
		}
	}
	return []byte{0}
}
