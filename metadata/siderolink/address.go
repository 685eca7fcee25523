package siderolink

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
)

const (
	// prefixBits is the length of the network's prefix.
	prefixBits = 64

	// uniqueLocal is the first byte of unique local addresses (RFC 4193), and purpose the last of the prefix, by which Talos
	// knows its networks: 3 is SideroLink.
	uniqueLocal = 0xfd
	purpose     = 0x03
	purposeAt   = 7
)

// Network is the prefix of an installation's SideroLink, as Sidero derives it: a Secret that is moved here keeps the addresses of
// all machines valid. The identity is the text of the Secret's installation-id.
func Network(installation string) netip.Prefix {
	hash := sha256.Sum256([]byte(installation))

	address := [16]byte(hash[sha256.Size-16:])
	address[0], address[purposeAt] = uniqueLocal, purpose

	return netip.PrefixFrom(netip.AddrFrom16(address), prefixBits).Masked()
}

// ServerAddress is the appliance's address in a network, the first.
func ServerAddress(network netip.Prefix) netip.Addr { return network.Masked().Addr().Next() }

// NewNodeAddress is a random address in a network that is not the appliance's, with the network's prefix length.
// That it is nobody else's is for the caller to see.
func NewNodeAddress(network netip.Prefix) netip.Prefix {
	for {
		address := network.Masked().Addr().As16()
		_, _ = rand.Read(address[prefixBits/8:]) // never fails

		node := netip.AddrFrom16(address)
		if node != ServerAddress(network) && node != network.Masked().Addr() {
			return netip.PrefixFrom(node, prefixBits)
		}
	}
}
