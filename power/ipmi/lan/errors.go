package lan

import (
	"errors"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/types"
)

var (
	// ErrUnreachable is in the error when nothing at all comes from the BMC's address.
	ErrUnreachable = errors.New("the BMC cannot be reached")
	// ErrNoAnswer is in the error when the BMC does not answer a command inside a session. It may have done it.
	ErrNoAnswer = errors.New("the BMC does not answer")
	// ErrUser is in the error when the BMC has no such user, or one that is disabled.
	ErrUser = errors.New("the BMC does not know the user")
	// ErrPassword is in the error when the password is wrong.
	ErrPassword = errors.New("the BMC does not accept the password")
	// ErrPrivilege is in the error when the user may not be operator.
	ErrPrivilege = errors.New("the BMC does not let the user be operator")
	// ErrSuites is in the error when the BMC takes no cipher suite of those that were tried.
	ErrSuites = errors.New("the BMC takes none of the cipher suites")
	// ErrSessions is in the error when the BMC has as many sessions as it can.
	ErrSessions = errors.New("the BMC has no session left")
	// errSuite is that for one of them.
	errSuite = errors.New("refused")
	// ErrKey is in the error when the BMC has a key of its own (Kg), which is not supported.
	ErrKey = errors.New("the BMC has a key of its own (Kg)")
	// ErrVersion is in the error when the BMC does not speak the version of IPMI that was asked for.
	ErrVersion = errors.New("the BMC does not speak this version of IPMI")
)

// statusError is a status of RMCP+ (IPMI v2.0 table 13-15) as an error.
func statusError(step string, status types.RmcpStatusCode) error {
	kind := statusKind(status)
	if kind == nil {
		return fmt.Errorf("%s: the BMC answers status %#02x: %s", step, uint8(status), status)
	}
	return fmt.Errorf("%s: %w (status %#02x: %s)", step, kind, uint8(status), status)
}

func statusKind(status types.RmcpStatusCode) error {
	switch status {
	case types.RmcpStatusCodeNoResToCreateSess, types.RmcpStatusCodeNoResToCreateSessAtRole:
		return ErrSessions
	case types.RmcpStatusCodeInvalidAuthAlg, types.RmcpStatusCodeInvalidIntegrityAlg, types.RmcpStatusCodeInvalidConfidentAlg,
		types.RmcpStatusCodeNoMatchingAuthPayload, types.RmcpStatusCodeNoMatchingIntegrityPayload, types.RmcpStatusCodeNoCipherSuiteMatch:
		return errSuite
	case types.RmcpStatusCodeInvalidRole, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel:
		return ErrPrivilege
	case types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeInvalidNameLength:
		return ErrUser
	case types.RmcpStatusCodeInvalidIntegrityCheckValue:
		return ErrPassword
	}
	return nil
}

// codeError is a completion code of a command that a session begins with as an error. Kinds are those of the codes that
// are particular to the command.
func codeError(command types.Command, answer []byte, kinds map[byte]error) error {
	if answer[0] == 0 {
		return nil
	}
	text := types.StrCC(command, answer[0])
	if kind := kinds[answer[0]]; kind != nil {
		return fmt.Errorf("%s: %w (completion code %#02x: %s)", command.Name, kind, answer[0], text)
	}
	return fmt.Errorf("%s: the BMC answers %#02x: %s", command.Name, answer[0], text)
}
