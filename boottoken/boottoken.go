package boottoken

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
)

const (
	// Parameter is the token's name in the query of an address.
	Parameter = "token"
	// KeySize is the length of a key in bytes.
	KeySize = 32
	// MaxLength bounds a token's text in bytes.
	MaxLength = 64

	// macSize is how much of the HMAC goes into a token, in bytes: half, the least that RFC 2104 (section 5) recommends.
	macSize = 16
	// domain keeps the HMACs of tokens apart from any others of the same key.
	domain = "sidero-appliance boot token 1\x00"

	redacted = "REDACTED"
)

// ErrMalformed is for a text that is no token.
var ErrMalformed = errors.New("it is no boot token")

// Token is for one boot window of one binding: the generation in decimal digits, a hyphen, and an HMAC in base 32. All its
// characters may stand in addresses, kernel arguments and scripts of iPXE. It shows itself to no logger and no formatter.
type Token struct{ text string }

// Text is what the machine is told.
func (t Token) Text() string { return t.text }

// String implements fmt.Stringer.
func (Token) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Token) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// Key makes and checks tokens. Make it with NewKey or ReadKey.
type Key struct{ bytes [KeySize]byte }

// NewKey makes a random key.
func NewKey() Key {
	var k Key

	rand.Read(k.bytes[:]) //nolint:errcheck // it never fails

	return k
}

// ReadKey takes a key that Bytes gave.
func ReadKey(bytes []byte) (Key, error) {
	if len(bytes) != KeySize {
		return Key{}, errors.New("read key of boot tokens: it must have " + strconv.Itoa(KeySize) + " bytes, not " + strconv.Itoa(len(bytes)))
	}

	return Key{[KeySize]byte(bytes)}, nil
}

// Bytes are what to keep of the key, in secret.
func (k Key) Bytes() []byte { return k.bytes[:] }

// String implements fmt.Stringer.
func (Key) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Key) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// Mint makes the token for a generation, which is not negative, of the boot windows of a binding. The binding is told by what
// no other one ever has, its UID.
func (k Key) Mint(binding string, generation int64) Token {
	return Token{strconv.FormatInt(generation, 10) + "-" + encoding().EncodeToString(k.mac(binding, generation))}
}

// Check tells which generation of a binding's windows a token is for. The second result is false for a token that is none of the
// binding's, and the error ErrMalformed for a text that never was a token.
func (k Key) Check(text, binding string) (generation int64, genuine bool, err error) {
	digits, code, ok := strings.Cut(text, "-")
	if !ok || len(text) > MaxLength {
		return 0, false, ErrMalformed
	}

	generation, err = strconv.ParseInt(digits, 10, 64)
	if err != nil || generation < 0 || strconv.FormatInt(generation, 10) != digits {
		return 0, false, ErrMalformed
	}

	mac, err := encoding().DecodeString(code)
	if err != nil || len(mac) != macSize || encoding().EncodeToString(mac) != code {
		return 0, false, ErrMalformed
	}

	return generation, hmac.Equal(mac, k.mac(binding, generation)), nil
}

func (k Key) mac(binding string, generation int64) []byte {
	h := hmac.New(sha256.New, k.bytes[:])
	h.Write([]byte(domain))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(generation))) //nolint:gosec // never negative
	h.Write([]byte(binding))

	return h.Sum(nil)[:macSize]
}

func encoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// inQuery finds the values of the token's parameter in addresses, whatever is around them, also where the name was escaped, and in
// JSON, where a \ ends them.
var inQuery = regexp.MustCompile(`(?i)((?:t|%74)(?:o|%6f)(?:k|%6b)(?:e|%65)(?:n|%6e)(?:=|%3d))[^&\s"'#\\]+`)

// Redact takes the tokens out of a text that holds addresses.
func Redact(text string) string { return inQuery.ReplaceAllString(text, "${1}"+redacted) }
