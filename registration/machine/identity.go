package machine

import (
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

// ParseIdentity checks what a machine says that tells it from others with its UUID. Addresses that are none are left out.
func ParseIdentity(told *api.Identity) (identity.Facts, error) {
	if err := Bound(told); err != nil {
		return identity.Facts{}, err
	}

	return identity.New(identity.Facts{
		Serial: clean(told.GetSerialNumber()), BootMAC: told.GetBootMac(), MACs: told.GetMacs(),
	}), nil
}
