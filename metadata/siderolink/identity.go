package siderolink

import (
	"errors"
	"fmt"
	"net/netip"
)

// Keys of an Identity's data, as in Sidero's Secret.
const (
	installationKey = "installation-id"
	privateKeyKey   = "private-key"
)

var errInstallation = errors.New("it has no " + installationKey)

// Identity is that of an installation: what its network is derived from, and the appliance's own key.
type Identity struct {
	// Installation is any text. Machines keep their addresses for as long as it stays the same.
	Installation string
	Key          PrivateKey
}

// NewIdentity makes one.
func NewIdentity() (Identity, error) {
	installation, err := NewPrivateKey() // as good a random text as any, and upstream's
	if err != nil {
		return Identity{}, err
	}

	key, err := NewPrivateKey()

	return Identity{Installation: installation.Text(), Key: key}, err
}

// ReadIdentity reads what Data wrote. The error tells no secret.
func ReadIdentity(data map[string][]byte) (Identity, error) {
	installation := string(data[installationKey])
	if installation == "" {
		return Identity{}, errInstallation
	}

	key, err := ParsePrivateKey(string(data[privateKeyKey]))
	if err != nil {
		return Identity{}, fmt.Errorf("read %s: %w", privateKeyKey, err)
	}

	return Identity{Installation: installation, Key: key}, nil
}

// Data is an identity as a Secret holds it.
func (i Identity) Data() map[string][]byte {
	return map[string][]byte{installationKey: []byte(i.Installation), privateKeyKey: []byte(i.Key.Text())}
}

// Network is the installation's.
func (i Identity) Network() netip.Prefix { return Network(i.Installation) }

// Address is the appliance's in it.
func (i Identity) Address() netip.Addr { return ServerAddress(i.Network()) }
