package siderolink

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// PublicKey is a WireGuard public key: a point on Curve25519. It is printed in base64, as everywhere in WireGuard.
type PublicKey [32]byte

// String implements fmt.Stringer.
func (k PublicKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// PrivateKey is a WireGuard private key. It prints as nothing of use: only Text tells it.
type PrivateKey struct{ key *ecdh.PrivateKey }

var (
	errKey     = errors.New("a WireGuard key is 32 bytes in base64")
	errZeroKey = errors.New("a WireGuard key of zeroes is nobody's")
)

// NewPrivateKey makes a key.
func NewPrivateKey() (PrivateKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("make WireGuard key: %w", err)
	}

	return PrivateKey{key}, nil
}

// ParsePrivateKey reads what Text wrote. The error does not tell the key.
func ParsePrivateKey(text string) (PrivateKey, error) {
	bytes, err := decode(text)
	if err != nil {
		return PrivateKey{}, err
	}

	key, err := ecdh.X25519().NewPrivateKey(bytes[:])
	if err != nil {
		return PrivateKey{}, errKey
	}

	return PrivateKey{key}, nil
}

// Text is the key in base64, as wg(8) has it.
func (k PrivateKey) Text() string { return base64.StdEncoding.EncodeToString(k.key.Bytes()) }

// Hex is the key in hexadecimal digits, as WireGuard's configuration protocol has it.
func (k PrivateKey) Hex() string { return hex.EncodeToString(k.key.Bytes()) }

// String implements fmt.Stringer and tells nothing.
func (PrivateKey) String() string { return "(private key)" }

// GoString implements fmt.GoStringer and tells nothing.
func (PrivateKey) GoString() string { return "(private key)" }

// Public is the key that others may have.
func (k PrivateKey) Public() PublicKey { return PublicKey(k.key.PublicKey().Bytes()) }

// ParsePublicKey reads a key in base64.
func ParsePublicKey(text string) (PublicKey, error) {
	bytes, err := decode(text)
	if err == nil && bytes == [32]byte{} {
		err = errZeroKey
	}

	return PublicKey(bytes), err
}

func decode(text string) ([32]byte, error) {
	const encoded = 44 // no longer text is decoded

	if len(text) != encoded {
		return [32]byte{}, errKey
	}

	bytes, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(bytes) != 32 {
		return [32]byte{}, errKey
	}

	return [32]byte(bytes), nil
}
