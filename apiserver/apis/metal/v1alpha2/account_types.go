package v1alpha2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RotateBMCAnnotation is how a person asks for a new password on a server's BMC, whatever its value. It is taken off when
// the Server has the new one.
const RotateBMCAnnotation = "metal.sidero.dev/rotate-bmc-credentials"

// AccountNamespace is where the Secrets are that hold what machines tell of their BMCs. It is upstream's, whatever its
// documents say.
const AccountNamespace = metav1.NamespaceDefault

// Keys of such a Secret.
const (
	AccountUser = "user"
	AccountPass = "pass"
)

// AccountSecret is the name of a server's.
func AccountSecret(server string) string { return server + "-bmc" }

// MadeAccount tells whether the appliance logs in to the BMC by an account that the machine has made. Otherwise a person has
// told how, or nobody.
func (s *Server) MadeAccount() bool {
	bmc := s.Spec.BMC

	return bmc != nil && bmc.User == "" && bmc.Pass == "" && s.names(bmc.UserFrom, AccountUser) && s.names(bmc.PassFrom, AccountPass)
}

func (s *Server) names(from *CredentialSource, key string) bool {
	return from != nil && from.SecretKeyRef != nil &&
		*from.SecretKeyRef == SecretKeyRef{Namespace: AccountNamespace, Name: AccountSecret(s.Name), Key: key}
}

// WantsAccount tells that a person has asked for another password on the BMC, and that the machine can make it.
func (s *Server) WantsAccount() bool {
	_, asked := s.Annotations[RotateBMCAnnotation]

	return asked && s.MadeAccount()
}
