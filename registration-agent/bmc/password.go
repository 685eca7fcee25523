package bmc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"
)

// What Set User Password does (table 22-37).
const (
	disableUser  = 0
	enableUser   = 1
	setPassword  = 2
	testPassword = 3
)

const (
	// passwordBytes is what IPMI 1.5 has, so that the account works with every interface
	// and BMC. 2.0 has 20 bytes (22.30), which some BMCs store and then compare 16 of.
	passwordBytes     = 16
	longPasswordBytes = 20
	// longPassword is the flag beside the user's number for a field of 20 bytes.
	longPassword = 0x80
)

// Completion codes of Set User Password.
const (
	codeMismatch     = 0x80
	codeWrongSize    = 0x81
	codeNoCommand    = 0xc1
	codeLength       = 0xc7
	codeFieldInvalid = 0xcc
	codeUnsupported  = 0xd5
)

// ErrPasswordNotKept is in the error of a BMC that says that it has set a password, and
// then does not know it.
var ErrPasswordNotKept = errors.New("the BMC does not know the password that was just set")

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// newPassword makes a random password. It has letters of both kinds and digits: the
// rules of some BMCs want them.
func newPassword() (string, error) {
	const letters = lower + upper + digits
	for {
		text := make([]byte, passwordBytes)
		for i := range text {
			n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
			if err != nil {
				return "", fmt.Errorf("make a password: %w", err)
			}
			text[i] = letters[n.Int64()]
		}
		if goodPassword(string(text)) {
			return string(text), nil
		}
	}
}

func goodPassword(text string) bool {
	return strings.ContainsAny(text, lower) && strings.ContainsAny(text, upper) && strings.ContainsAny(text, digits)
}

// storePassword gives a user the password, and asks the BMC whether it has it. A note is
// something that a person may want to know.
func storePassword(ctx context.Context, device Device, user uint8, password string) (note string, err error) {
	short := append([]byte{user, setPassword}, padded(password, passwordBytes)...)
	long := append([]byte{user | longPassword, setPassword}, padded(password, longPasswordBytes)...)
	request := short
	_, err = ask(ctx, device, types.CommandSetUserPassword, request...)
	if refusedWith(err, codeLength, codeFieldInvalid) { // it takes fields of the newer form only
		request = long
		_, err = ask(ctx, device, types.CommandSetUserPassword, request...)
	}
	if err != nil {
		return "", fmt.Errorf("set the user's password: %w", err)
	}
	request[1] = testPassword
	_, err = ask(ctx, device, types.CommandSetUserPassword, request...)
	switch {
	case err == nil:
		return "", nil
	case refusedWith(err, codeMismatch, codeWrongSize):
		return "", fmt.Errorf("%w: %w", ErrPasswordNotKept, err)
	case refusedWith(err, codeNoCommand, codeFieldInvalid, codeLength, codeUnsupported):
		return "the BMC cannot say whether it has the new password", nil
	default:
		return "", fmt.Errorf("test the user's password: %w", err)
	}
}
