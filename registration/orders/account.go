package orders

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// AccountNamespace is where the Secrets are that hold what machines tell of their BMCs. It is upstream's, whatever its
// documents say.
const AccountNamespace = metav1.NamespaceDefault

// Keys of such a Secret.
const (
	KeyUser = "user"
	KeyPass = "pass"
)

// AccountSecret is the name of a server's.
func AccountSecret(server string) string { return server + "-bmc" }

// Account is what is known of the account that a machine has made on its BMC.
type Account struct {
	// Gone tells that the Server names its Secret, and it is not there or has no more of it.
	Gone bool
	User string
}

// OwnAccount tells whether the appliance logs in to the BMC by an account that the machine has made. Otherwise a person has
// told how, or nobody.
func OwnAccount(server *v1alpha2.Server) bool {
	bmc := server.Spec.BMC

	return bmc != nil && bmc.User == "" && bmc.Pass == "" && fromSecret(server, bmc.UserFrom, KeyUser) && fromSecret(server, bmc.PassFrom, KeyPass)
}

func fromSecret(server *v1alpha2.Server, from *v1alpha2.CredentialSource, key string) bool {
	return from != nil && from.SecretKeyRef != nil &&
		*from.SecretKeyRef == v1alpha2.SecretKeyRef{Namespace: AccountNamespace, Name: AccountSecret(server.Name), Key: key}
}

// AccountSetup is which account a machine shall make on its BMC; nil when there is nothing to make. auto tells that one is
// made where nobody has told how to log in. Upstream asks the machine once, and never again when that went wrong half-way.
func AccountSetup(server *v1alpha2.Server, account Account, auto bool) *api.BMCSetup {
	bmc := server.Spec.BMC
	known := bmc != nil && bmc.Endpoint != ""

	switch {
	case !MayTouch(server):
		return nil
	case !OwnAccount(server):
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
	case Rotates(server):
		return &api.BMCSetup{UserInUse: account.User, EndpointKnown: known}
	default:
		return nil
	}
}

// Rotates tells that a person has asked for another password on the BMC.
func Rotates(server *v1alpha2.Server) bool {
	_, asked := server.Annotations[v1alpha2.RotateBMCAnnotation]

	return asked
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
