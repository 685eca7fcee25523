package bmc

import (
	"context"
	"fmt"
	"slices"

	"github.com/bougou/go-ipmi/pkg/types"
)

// The agent's own users. Sidero's is the first; the second takes turns with it, so that
// the password of one stays valid until the other's is known to work.
const (
	User      = "sidero"
	OtherUser = "sidero2"
)

// Wish is which account is wanted.
type Wish struct {
	// UserInUse is one whose password must stay valid. Empty when there is none.
	UserInUse string
	// EndpointKnown tells that somebody knows where the BMC is, whatever it says.
	EndpointKnown bool
}

// name is the user to make or change.
func (w Wish) name() string {
	if w.UserInUse == User {
		return OtherUser
	}
	return User
}

// Account is what lets the appliance log in to the BMC.
type Account struct {
	Address        Address
	User, Password string
	// Former is the user to disable when the appliance has the new password.
	Former Former
	// Notes are what a person may want to know, though the account was made.
	Notes []string
}

const (
	administrator = 4
	// messaging has the rights to a channel changed, and IPMI messages allowed by it; a
	// call back is not needed, and a link not authenticated (table 22-31).
	messaging = 0x80 | 0x10
	// allowedAlways is a channel that can be used at any time (table 22-28). The access
	// modes of table 6-4 are below it, but for shared ones.
	allowedAlways = 2
	accessMode    = 7
	// storedSettings asks for those that outlive a restart.
	storedSettings = 0x40
)

// Make makes the account. Users that are not the agent's own are left as they are.
func Make(ctx context.Context, device Device, wish Wish) (*Account, error) {
	address, err := findAddress(ctx, device, wish.EndpointKnown)
	if err != nil {
		return nil, err
	}
	account := &Account{Address: address, User: wish.name()}
	user, err := takeSlot(ctx, device, address.Channel, account.User)
	if err != nil {
		return nil, err
	}
	if account.Password, err = newPassword(); err != nil {
		return nil, err
	}
	note, err := storePassword(ctx, device, user, account.Password)
	if err != nil {
		return nil, err
	}
	account.note(note)
	if _, err := ask(ctx, device, types.CommandSetUserAccess, messaging|address.Channel, user, administrator, 0); err != nil {
		return nil, fmt.Errorf("make the user an administrator: %w", err)
	}
	if _, err := ask(ctx, device, types.CommandSetUserPassword, user, enableUser); err != nil {
		return nil, fmt.Errorf("enable the user: %w", err)
	}
	if account.Former, err = findFormer(ctx, device, address.Channel, wish.UserInUse); err != nil {
		return nil, err
	}
	account.note(channelNote(ctx, device, address.Channel))
	return account, nil
}

func (a *Account) note(text string) {
	if text != "" {
		a.Notes = append(a.Notes, text)
	}
}

// channelNote tells of a BMC that lets nobody log in from the network. Whether it may is
// not the agent's to decide.
func channelNote(ctx context.Context, device Device, channel uint8) string {
	data, err := ask(ctx, device, types.CommandGetChannelAccess, channel, storedSettings)
	if err != nil {
		return ""
	}
	mode, err := parseAccessMode(data)
	if err != nil || mode >= allowedAlways {
		return ""
	}
	return fmt.Sprintf("IPMI over LAN is switched off on the BMC's channel %d: switch it on in its settings", channel)
}

// parseAccessMode reads the answer to Get Channel Access (table 22-28).
func parseAccessMode(data []byte) (byte, error) {
	if len(data) < 1 {
		return 0, shortAnswer("channel access", data)
	}
	return data[0] & accessMode, nil
}

// Former is the agent's user whose password was in use before. The zero value is none.
type Former struct {
	name   string
	number uint8
}

// findFormer finds the user by name, if it is one of the agent's own.
func findFormer(ctx context.Context, device Device, channel uint8, name string) (Former, error) {
	if !slices.Contains([]string{User, OtherUser}, name) {
		return Former{}, nil
	}
	_, found, err := listSlots(ctx, device, channel, name)
	if err != nil {
		return Former{}, fmt.Errorf("list the BMC's users: %w", err)
	}
	for _, one := range found {
		if one.name == name {
			return Former{name, one.number}, nil
		}
	}
	return Former{}, nil
}

// Disable has nobody log in as it any more. It is one command: the appliance may turn the machine off as soon as it has
// the new password.
func (f Former) Disable(ctx context.Context, device Device) error {
	if f.number == 0 {
		return nil
	}
	if _, err := ask(ctx, device, types.CommandSetUserPassword, f.number, disableUser); err != nil {
		return fmt.Errorf("disable user %s: %w", f.name, err)
	}
	return nil
}
