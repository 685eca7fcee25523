package bmc

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/bmc/bmctest"
)

func TestMake(t *testing.T) {
	f := bmctest.New()
	f.Port = 6230
	made, err := Make(t.Context(), f, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	user := f.Number(3)
	if made.User != User || made.Address.IP.String() != "10.0.9.7" || made.Address.Port != 6230 || made.Address.Source != "DHCP" || len(made.Notes) != 0 {
		t.Errorf("account is %+v", made)
	}
	if user != (bmctest.Account{Name: User, Password: made.Password, Enabled: true, Access: [2]byte{0x91, administrator}}) {
		t.Errorf("the BMC has %+v", user)
	}
	if f.Number(2) != bmctest.Theirs() {
		t.Errorf("another user is now %+v", f.Number(2))
	}
	again, err := Make(t.Context(), f, Wish{})
	if err != nil || f.Number(4) != (bmctest.Account{}) || again.Password == made.Password || f.Number(3).Password != again.Password {
		t.Errorf("made again: %v, %+v, %+v", err, again, f.Number(3))
	}
}

// TestRotate: the password in use is valid until the other user's is, and goes then.
func TestRotate(t *testing.T) {
	f := bmctest.New()
	old, err := Make(t.Context(), f, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{OtherUser, User, OtherUser} {
		made, err := Make(t.Context(), f, Wish{UserInUse: old.User})
		if err != nil || made.User != want {
			t.Fatalf("%+v, %v", made, err)
		}
		before := f.Named(old.User)
		if before.Password != old.Password || !before.Enabled {
			t.Errorf("the old user is %+v, before the new one is told of", before)
		}
		if err := made.Former.Disable(t.Context(), f); err != nil || f.Named(old.User).Enabled || !f.Named(made.User).Enabled {
			t.Errorf("%v: old %+v, new %+v", err, f.Named(old.User), f.Named(made.User))
		}
		old = made
	}
	made, err := Make(t.Context(), f, Wish{UserInUse: "ADMIN"})
	if err != nil || made.Former != (Former{}) {
		t.Errorf("somebody else's user is %+v, %v", made, err)
	}
}

func TestMakeFails(t *testing.T) {
	refuse := func(command types.Command, code byte) func(*bmctest.BMC) {
		return func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
				if r.Command.Key() == command.Key() {
					return []byte{code}
				}
				return nil
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*bmctest.BMC)
		wish   Wish
		says   string
	}{
		"no address":       {func(f *bmctest.BMC) { f.LANs[1] = netip.IPv4Unspecified() }, Wish{}, "no IPv4 address: it says 0.0.0.0 (source: DHCP) on channel 1; connect"},
		"link-local":       {func(f *bmctest.BMC) { f.LANs[1] = netip.MustParseAddr("169.254.3.4") }, Wish{}, "it says 169.254.3.4"},
		"no channel":       {func(f *bmctest.BMC) { f.LANs = nil }, Wish{}, "read the BMC's address on channel 1"},
		"hangs":            {func(f *bmctest.BMC) { f.Fails = context.DeadlineExceeded }, Wish{}, "find the BMC's network interface: the BMC does not answer: context deadline exceeded"},
		"full":             {func(f *bmctest.BMC) { f.Last = 2 }, Wish{}, "no room for another user: all 2 are somebody's"},
		"no names":         {refuse(types.CommandGetUsername, 0xd4), Wish{}, "no room for another user"},
		"busy":             {refuse(types.CommandGetUsername, 0xc0), Wish{}, "list the BMC's users: Get User Name Command: the BMC is busy"},
		"the kernel waits": {refuse(types.CommandGetChannelInfo, 0xc3), Wish{}, "Get Channel Info Command: the BMC does not answer"},
		"no naming":        {refuse(types.CommandSetUsername, 0xd4), Wish{}, "name user 10: Set User Name: the BMC answers 0xd4"},
		"password refused": {refuse(types.CommandSetUserPassword, 0xd4), Wish{}, "set the user's password"},
		"password not kept": {func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUserPassword.Key() && r.Data[1] == setPassword {
					return []byte{0}
				}
				return nil
			}
		}, Wish{}, "does not know the password"},
		"no privilege": {refuse(types.CommandSetUserAccess, 0xcc), Wish{}, "make the user an administrator"},
		"empty":        {func(f *bmctest.BMC) { f.Change = func(lan.Request) []byte { return []byte{} } }, Wish{}, "the answer is empty"},
		"short":        {func(f *bmctest.BMC) { f.Change = func(lan.Request) []byte { return []byte{0} } }, Wish{EndpointKnown: true}, "too short"},
	} {
		t.Run(name, func(t *testing.T) {
			f := bmctest.New()
			test.change(f)
			made, err := Make(t.Context(), f, test.wish)
			if made != nil || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v, %v", made, err)
			}
			if f.Number(2) != bmctest.Theirs() {
				t.Errorf("another user is now %+v", f.Number(2))
			}
		})
	}
}

// TestMakeAnyway: what a BMC may lack, or do in its own way.
func TestMakeAnyway(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*bmctest.BMC)
		wish   Wish
		notes  string
	}{
		"the second interface is connected": {func(f *bmctest.BMC) {
			f.LANs = map[byte]netip.Addr{1: netip.IPv4Unspecified(), 8: netip.MustParseAddr("10.0.9.7")}
		}, Wish{}, ""},
		"somebody knows the address": {func(f *bmctest.BMC) { f.LANs[1] = netip.IPv4Unspecified() }, Wish{EndpointKnown: true}, ""},
		"switched off":               {func(f *bmctest.BMC) { f.Mode = 0 }, Wish{}, "IPMI over LAN is switched off on the BMC's channel 1"},
		"long passwords only": {func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUserPassword.Key() && len(r.Data) == 2+passwordBytes {
					return []byte{codeLength}
				}
				return nil
			}
		}, Wish{}, ""},
		"no test": {func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUserPassword.Key() && r.Data[1] == testPassword {
					return []byte{codeFieldInvalid}
				}
				return nil
			}
		}, Wish{}, "cannot say whether it has the new password"},
		"no word of unused users": {func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandGetUsername.Key() && r.Data[0] > 2 {
					return []byte{codeNotPresent}
				}
				return nil
			}
		}, Wish{}, ""},
		"a place that cannot be named": {func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
				if r.Command.Key() == types.CommandSetUsername.Key() && r.Data[0] == 3 {
					return []byte{codeFieldInvalid}
				}
				return nil
			}
		}, Wish{}, ""},
		"no port, no source, no channels": {func(f *bmctest.BMC) {
			f.Change = func(r lan.Request) []byte {
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
			f := bmctest.New()
			test.change(f)
			made, err := Make(t.Context(), f, test.wish)
			if err != nil {
				t.Fatal(err)
			}
			if user := f.Named(User); user.Password != made.Password || !user.Enabled {
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
		bmc := bmctest.New()
		named := map[byte]bool{}
		bmc.Change = func(r lan.Request) []byte {
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
		if bmc.Asked() > 300 {
			t.Errorf("%d commands", bmc.Asked())
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
