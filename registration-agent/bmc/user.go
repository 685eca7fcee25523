package bmc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"
)

const (
	// firstSlot is the first that may be named: user 1 has no name, and is nobody's
	// (6.9.1).
	firstSlot = 2
	nameBytes = 16
	// emptyName is how some BMCs call a slot that nobody uses.
	emptyName = "(Empty User)"
)

// ErrNoSlot is in the error of a BMC whose users are all somebody's.
var ErrNoSlot = errors.New("the BMC has no room for another user")

// slots is what a BMC says of its users as such (table 22-33).
type slots struct {
	// last is the highest number of a user, and fixed how many have names that cannot be
	// changed, from the first on.
	last, fixed uint8
}

func parseSlots(data []byte) (slots, error) {
	if len(data) < 3 {
		return slots{}, shortAnswer("users", data)
	}
	return slots{last: data[0] & 0x3f, fixed: data[2] & 0x3f}, nil
}

// slot is a user's place.
type slot struct {
	number uint8
	// name is empty for a place that nobody uses.
	name string
	// enabled tells that somebody may log in as it.
	enabled bool
	// unknown tells that the BMC did not say whose it is.
	unknown bool
}

// Completion codes of places that nobody uses, of BMCs that have no name for them.
const (
	codeParameterRange = 0xc9
	codeNotPresent     = 0xcb
)

// parseEnabled reads the answer to Get User Access (table 22-33) about the user.
func parseEnabled(data []byte) (bool, error) {
	if len(data) < 2 {
		return false, shortAnswer("user", data)
	}
	return data[1]>>6 == 1, nil
}

// parseName reads a user's name (table 22-35), which zeros fill up.
func parseName(data []byte) string {
	data = data[:min(len(data), nameBytes)]
	name, _, _ := bytes.Cut(data, []byte{0})
	text := strings.TrimSpace(string(name))
	if text == emptyName {
		return ""
	}
	return text
}

// listSlots reads all users' names, as far as the one that is looked for.
func listSlots(ctx context.Context, device Device, channel uint8, until string) (slots, []slot, error) {
	data, err := ask(ctx, device, types.CommandGetUserAccess, channel, 1)
	if err != nil {
		return slots{}, nil, err
	}
	all, err := parseSlots(data)
	if err != nil {
		return all, nil, err
	}
	var found []slot
	for number := uint8(firstSlot); number <= all.last; number++ {
		one, err := readSlot(ctx, device, channel, number)
		if err != nil {
			return all, nil, err
		}
		found = append(found, one)
		if one.name == until {
			break
		}
	}
	return all, found, nil
}

func readSlot(ctx context.Context, device Device, channel, number uint8) (slot, error) {
	one := slot{number: number}
	data, err := ask(ctx, device, types.CommandGetUsername, number)
	switch {
	case err == nil:
		one.name = parseName(data)
	case refusedWith(err, codeParameterRange, codeNotPresent, codeFieldInvalid):
	case refused(err):
		one.unknown = true
	default:
		return one, err
	}
	if one.name != "" || one.unknown {
		return one, nil
	}
	data, err = ask(ctx, device, types.CommandGetUserAccess, channel, number)
	if err != nil {
		if refused(err) {
			err = nil
		}
		return one, err
	}
	one.enabled, err = parseEnabled(data)
	return one, err
}

// candidates are the places for a user of this name, the best first: one that has the
// name, or those that nobody uses. No other user's is one of them. A place without a name
// that is enabled comes later, because BMCs differ in what they call so.
func candidates(all slots, found []slot, name string) []slot {
	var free, later []slot
	for _, one := range found {
		switch {
		case one.name == name:
			return []slot{one}
		case one.name != "" || one.unknown:
		case one.number <= all.fixed || one.enabled:
			later = append(later, one)
		default:
			free = append(free, one)
		}
	}
	return append(free, later...)
}

// takeSlot finds the place of the user, or makes one. Of places that the BMC does not
// give, the next is tried.
func takeSlot(ctx context.Context, device Device, channel uint8, name string) (uint8, error) {
	all, found, err := listSlots(ctx, device, channel, name)
	if err != nil {
		return 0, fmt.Errorf("list the BMC's users: %w", err)
	}
	var failed error
	for _, one := range candidates(all, found, name) {
		if one.name == name {
			return one.number, nil
		}
		_, err := ask(ctx, device, types.CommandSetUsername, append([]byte{one.number}, padded(name, nameBytes)...)...)
		if err == nil {
			return one.number, nil
		}
		failed = errors.Join(failed, fmt.Errorf("name user %d: %w", one.number, err))
		if !refused(err) {
			break
		}
	}
	if failed != nil {
		return 0, failed
	}
	return 0, fmt.Errorf("%w: all %d are somebody's; delete one that is of no use in the BMC's settings", ErrNoSlot, all.last)
}

func padded(text string, length int) []byte {
	field := make([]byte, length)
	copy(field, text)
	return field
}
