package bmc

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// account is a user of the fake BMC.
type account struct {
	name, password string
	enabled        bool
	access         [2]byte // channel and privilege as set
}

// fake is a BMC of the test's making: what the specification says of these commands, and
// what a test changes about it.
type fake struct {
	lans  map[byte]netip.Addr
	port  uint16
	users map[byte]*account
	last  byte
	fixed byte
	// mode is the access mode of the channels.
	mode byte
	// change answers in place of the BMC, nil for as usual.
	change func(lan.Request) []byte
	fails  error
	asked  []string
}

func newFake() *fake {
	return &fake{
		lans: map[byte]netip.Addr{1: netip.MustParseAddr("10.0.9.7")}, port: 623, last: 10, fixed: 1, mode: allowedAlways,
		users: map[byte]*account{2: {name: "ADMIN", password: "theirs", enabled: true}},
	}
}

func (f *fake) Exchange(ctx context.Context, request lan.Request) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.asked = append(f.asked, request.Command.Name)
	if f.change != nil {
		if answer := f.change(request); answer != nil {
			return answer, nil
		}
	}
	if f.fails != nil {
		return nil, f.fails
	}
	return f.answer(request.Command.Key(), request.Data), nil
}

func (f *fake) answer(command any, data []byte) []byte {
	switch command {
	case types.CommandGetChannelInfo.Key():
		if _, is := f.lans[data[0]]; is {
			return []byte{0, data[0], 0x80 | mediumLAN, 1, 0, 0, 0, 0, 0, 0}
		}
		return []byte{codeFieldInvalid}
	case types.CommandGetChannelAccess.Key():
		return []byte{0, f.mode, 4}
	case types.CommandGetLanConfigParam.Key():
		return f.lanParameter(data[0], data[1])
	case types.CommandGetUserAccess.Key():
		enabled := byte(0x80)
		if user := f.users[data[1]]; user != nil && user.enabled {
			enabled = 0x40
		}
		return []byte{0, f.last, enabled | 1, f.fixed, 0}
	case types.CommandGetUsername.Key():
		if user := f.users[data[0]]; user != nil {
			return append([]byte{0}, padded(user.name, nameBytes)...)
		}
		return append([]byte{0}, make([]byte, nameBytes)...)
	case types.CommandSetUsername.Key():
		f.user(data[0]).name = parseName(data[1:])
	case types.CommandSetUserAccess.Key():
		f.user(data[1]).access = [2]byte{data[0], data[2]}
	case types.CommandSetUserPassword.Key():
		return f.password(data)
	default:
		return []byte{codeNoCommand}
	}
	return []byte{0}
}

func (f *fake) user(number byte) *account {
	if f.users[number] == nil {
		f.users[number] = &account{}
	}
	return f.users[number]
}

func (f *fake) lanParameter(channel, number byte) []byte {
	ip, is := f.lans[channel]
	switch {
	case !is:
		return []byte{codeFieldInvalid}
	case number == parameterIP:
		return append([]byte{0, 0x11}, ip.AsSlice()...)
	case number == parameterSource:
		return []byte{0, 0x11, 2}
	case number == parameterPort:
		return binary.LittleEndian.AppendUint16([]byte{0, 0x11}, f.port)
	}
	return []byte{0x80}
}

func (f *fake) password(data []byte) []byte {
	user := f.user(data[0] &^ longPassword)
	text := strings.TrimRight(string(data[2:]), "\x00")
	switch data[1] {
	case disableUser:
		user.enabled = false
	case enableUser:
		user.enabled = true
	case setPassword:
		user.password = text
	case testPassword:
		if user.password != text {
			return []byte{codeMismatch}
		}
	}
	return []byte{0}
}

func TestMake(t *testing.T) {
	f := newFake()
	f.port = 6230
	made, err := Make(t.Context(), f, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	user := f.users[3]
	if made.User != User || made.Address.IP.String() != "10.0.9.7" || made.Address.Port != 6230 || made.Address.Source != "DHCP" || len(made.Notes) != 0 {
		t.Errorf("account is %+v", made)
	}
	if user == nil || *user != (account{User, made.Password, true, [2]byte{0x91, administrator}}) {
		t.Errorf("the BMC has %+v", user)
	}
	if *f.users[2] != (account{name: "ADMIN", password: "theirs", enabled: true}) {
		t.Errorf("another user is now %+v", f.users[2])
	}
	again, err := Make(t.Context(), f, Wish{})
	if err != nil || len(f.users) != 2 || again.Password == made.Password || f.users[3].password != again.Password {
		t.Errorf("made again: %v, %+v, %+v", err, again, f.users)
	}
}

// TestRotate: the password in use is valid until the other user's is, and goes then.
func TestRotate(t *testing.T) {
	f := newFake()
	old, err := Make(t.Context(), f, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{OtherUser, User, OtherUser} {
		made, err := Make(t.Context(), f, Wish{UserInUse: old.User})
		if err != nil || made.User != want {
			t.Fatalf("%+v, %v", made, err)
		}
		before := byUser(f, old.User)
		if before.password != old.Password || !before.enabled {
			t.Errorf("the old user is %+v, before the new one is told of", before)
		}
		if err := Disable(t.Context(), f, made.Address.Channel, old.User); err != nil || byUser(f, old.User).enabled || !byUser(f, made.User).enabled {
			t.Errorf("%v: old %+v, new %+v", err, byUser(f, old.User), byUser(f, made.User))
		}
		old = made
	}
	if err := Disable(t.Context(), f, 1, "ADMIN"); err != nil || !f.users[2].enabled {
		t.Errorf("somebody else's user is disabled: %v", err)
	}
}

func byUser(f *fake, name string) account {
	for _, user := range f.users {
		if user.name == name {
			return *user
		}
	}
	return account{}
}

func TestMakeFails(t *testing.T) {
	refuse := func(command types.Command, code byte) func(*fake) {
		return func(f *fake) {
			f.change = func(r lan.Request) []byte {
				if r.Command.Key() == command.Key() {
					return []byte{code}
				}
				return nil
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*fake)
		wish   Wish
		says   string
	}{
		"no address":       {func(f *fake) { f.lans[1] = netip.IPv4Unspecified() }, Wish{}, "no IPv4 address: it says 0.0.0.0 (source: DHCP) on channel 1; connect"},
		"link-local":       {func(f *fake) { f.lans[1] = netip.MustParseAddr("169.254.3.4") }, Wish{}, "it says 169.254.3.4"},
		"no channel":       {func(f *fake) { f.lans = nil }, Wish{}, "read the BMC's address on channel 1"},
		"hangs":            {func(f *fake) { f.fails = context.DeadlineExceeded }, Wish{}, "find the BMC's network interface: context deadline exceeded"},
		"full":             {func(f *fake) { f.last = 2 }, Wish{}, "no room for another user: all 2 are somebody's"},
		"no names":         {refuse(types.CommandGetUsername, 0xc0), Wish{}, "no room for another user"},
		"no naming":        {refuse(types.CommandSetUsername, 0xd4), Wish{}, "name user 10: Set User Name: the BMC answers 0xd4"},
		"password refused": {refuse(types.CommandSetUserPassword, 0xd4), Wish{}, "set the user's password"},
		"password not kept": {func(f *fake) {
			f.change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUserPassword.Key() && r.Data[1] == setPassword {
					return []byte{0}
				}
				return nil
			}
		}, Wish{}, "does not know the password"},
		"no privilege": {refuse(types.CommandSetUserAccess, 0xcc), Wish{}, "make the user an administrator"},
		"empty":        {func(f *fake) { f.change = func(lan.Request) []byte { return []byte{} } }, Wish{}, "the answer is empty"},
		"short":        {func(f *fake) { f.change = func(lan.Request) []byte { return []byte{0} } }, Wish{EndpointKnown: true}, "too short"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			test.change(f)
			made, err := Make(t.Context(), f, test.wish)
			if made != nil || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v, %v", made, err)
			}
			if *f.users[2] != (account{name: "ADMIN", password: "theirs", enabled: true}) {
				t.Errorf("another user is now %+v", f.users[2])
			}
		})
	}
}

// TestMakeAnyway: what a BMC may lack, or do in its own way.
func TestMakeAnyway(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fake)
		wish   Wish
		notes  string
	}{
		"the second interface is connected": {func(f *fake) {
			f.lans = map[byte]netip.Addr{1: netip.IPv4Unspecified(), 8: netip.MustParseAddr("10.0.9.7")}
		}, Wish{}, ""},
		"somebody knows the address": {func(f *fake) { f.lans[1] = netip.IPv4Unspecified() }, Wish{EndpointKnown: true}, ""},
		"switched off":               {func(f *fake) { f.mode = 0 }, Wish{}, "IPMI over LAN is switched off on the BMC's channel 1"},
		"long passwords only": {func(f *fake) {
			f.change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUserPassword.Key() && len(r.Data) == 2+passwordBytes {
					return []byte{codeLength}
				}
				return nil
			}
		}, Wish{}, ""},
		"no test": {func(f *fake) {
			f.change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUserPassword.Key() && r.Data[1] == testPassword {
					return []byte{codeFieldInvalid}
				}
				return nil
			}
		}, Wish{}, "cannot say whether it has the new password"},
		"no word of unused users": {func(f *fake) {
			f.change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandGetUsername.Key() && r.Data[0] > 2 {
					return []byte{codeNotPresent}
				}
				return nil
			}
		}, Wish{}, ""},
		"a place that cannot be named": {func(f *fake) {
			f.change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUsername.Key() && r.Data[0] == 3 {
					return []byte{codeFieldInvalid}
				}
				return nil
			}
		}, Wish{}, ""},
		"no port, no source, no channels": {func(f *fake) {
			f.change = func(r lan.Request) []byte {
				switch {
				case r.Command.Key() == types.CommandGetChannelInfo.Key(), r.Command.Key() == types.CommandGetChannelAccess.Key():
					return []byte{codeNoCommand}
				case r.Command.Key() == types.CommandGetLanConfigParam.Key() && r.Data[1] != parameterIP:
					return []byte{0x80}
				}
				return nil
			}
		}, Wish{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			test.change(f)
			made, err := Make(t.Context(), f, test.wish)
			if err != nil {
				t.Fatal(err)
			}
			if user := byUser(f, User); user.password != made.Password || !user.enabled {
				t.Errorf("the BMC has %+v", user)
			}
			if got := strings.Join(made.Notes, ""); test.notes == "" && got != "" || !strings.Contains(got, test.notes) {
				t.Errorf("notes are %q", got)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	users := []slot{
		{number: 2, name: "root"}, {number: 3}, {number: 4, enabled: true}, {number: 5, unknown: true}, {number: 6}, {number: 7, name: OtherUser},
	}
	for name, test := range map[string]struct {
		all  slots
		name string
		want []uint8
	}{
		"unused ones first": {slots{last: 7, fixed: 1}, User, []uint8{3, 6, 4}},
		"its own":           {slots{last: 7, fixed: 1}, OtherUser, []uint8{7}},
		"fixed names later": {slots{last: 7, fixed: 3}, User, []uint8{6, 3, 4}},
	} {
		got := []uint8{}
		for _, one := range candidates(test.all, users, test.name) {
			got = append(got, one.number)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestNewPassword(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		text, err := newPassword()
		if err != nil || len(text) != passwordBytes || strings.Trim(text, lower+upper+digits) != "" || !goodPassword(text) {
			t.Fatalf("%q, %v", text, err)
		}
		seen[text] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 differ", len(seen))
	}
	for _, bad := range []string{"abc1", "ABC1", "abcABC", ""} {
		if goodPassword(bad) {
			t.Errorf("%q is good", bad)
		}
	}
}

// FuzzAnswers: whatever a BMC answers, in whatever order, the agent ends, and of all
// users it changes none that has a name.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{2, 1, 4})
	f.Add([]byte{6, 0x11, 10, 0, 9, 7, 3, 0x11, 1, 4, 0x11, 0x6f, 2})
	f.Add(slices.Repeat([]byte{0}, 64))
	f.Add(slices.Repeat([]byte{17, 255}, 64))
	f.Fuzz(func(t *testing.T, answers []byte) {
		bmc := newFake()
		named := map[byte]bool{}
		bmc.change = func(r lan.Request) []byte {
			changes := r.Command.Key() == types.CommandSetUsername.Key() || r.Command.Key() == types.CommandSetUserPassword.Key()
			if changes && named[r.Data[0]&0x3f] {
				t.Errorf("%s of another user: %x", r.Command.Name, r.Data)
			}
			if len(answers) == 0 {
				return []byte{0xff}
			}
			length := min(int(answers[0]), len(answers)-1)
			answer := answers[1 : 1+length]
			answers = answers[1+length:]
			if r.Command.Key() == types.CommandGetUsername.Key() && length > 1 && answer[0] == 0 {
				if name := parseName(answer[1:]); name != "" && name != User {
					named[r.Data[0]] = true
				}
			}
			return slices.Concat([]byte{}, answer)
		}
		made, err := Make(t.Context(), bmc, Wish{})
		if (made == nil) == (err == nil) {
			t.Errorf("%+v, %v", made, err)
		}
		if len(bmc.asked) > 300 {
			t.Errorf("%d commands", len(bmc.asked))
		}
	})
}

func TestRefusal(t *testing.T) {
	err := error(&Refusal{types.CommandSetUserPassword, 0x81})
	if !refused(err) || !refusedWith(err, codeWrongSize) || refusedWith(err, codeMismatch) || refused(errors.New("x")) {
		t.Error(err)
	}
	for _, text := range []string{"Set User Password Command", "0x81"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v", err)
		}
	}
}
