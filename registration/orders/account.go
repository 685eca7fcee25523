package orders

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// Account is what is known of the account that a machine has made on its BMC.
type Account struct {
	// Gone tells that the Server names its Secret, and it is not there or has no more of it.
	Gone bool
	User string
}

// AccountSetup is which account a machine shall make on its BMC; nil when there is nothing to make. auto tells that one is
// made where nobody has told how to log in. Upstream asks the machine once, and never again when that went wrong half-way.
func AccountSetup(server *v1alpha2.Server, account Account, auto bool) *api.BMCSetup {
	bmc := server.Spec.BMC
	known := bmc != nil && bmc.Endpoint != ""

	switch {
	case !MayTouch(server):
		return nil
	case !server.MadeAccount():
		nobody := bmc == nil || bmc.User == "" && bmc.UserFrom == nil && bmc.Pass == "" && bmc.PassFrom == nil
		if !auto || !nobody {
			return nil
		}

		return &api.BMCSetup{EndpointKnown: known}
	case account.Gone:
		if !auto {
			return nil
		}

		return &api.BMCSetup{EndpointKnown: known}
	case server.WantsAccount():
		return &api.BMCSetup{UserInUse: account.User, EndpointKnown: known}
	default:
		return nil
	}
}

// WithAccount adds the account to an order. The sequence of an order to wipe stays as it is: a wipe does not begin anew for
// that.
func WithAccount(next *api.WaitResponse, setup *api.BMCSetup) *api.WaitResponse {
	next.BmcSetup = setup
	if setup == nil || next.GetOrder() == api.Order_WIPE {
		return next
	}

	next.Sequence = 0
	next.Sequence = sequence(next)

	return next
}
