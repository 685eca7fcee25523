package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config"
)

// nameLength is how many digits a name has that is made of the machine's identity.
const nameLength = 6

// Hostname is the configuration's, DHCP's, or one that the machine has for ever.
func (c Config) Hostname(loaded config.Provider) string {
	var configured string
	if names := loaded.NetworkHostnameConfig(); names != nil {
		configured = names.Hostname()
	}

	sum := sha256.Sum256([]byte(c.Identity.UUID))
	name := cmp.Or(configured, c.Network.Hostname, "talos-"+hex.EncodeToString(sum[:])[:nameLength])
	name, _, _ = strings.Cut(strings.ToLower(name), ".")

	return name
}
