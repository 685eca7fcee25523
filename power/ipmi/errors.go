package ipmi

import (
	"errors"
	"fmt"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/openipmi"
)

// ErrNoDevice is in the error of a driver with interface Open when the kernel has no IPMI device.
var ErrNoDevice = openipmi.ErrNoDevice

// explain says what can be done about an error, and what it means for trying again.
func explain(err error) error {
	for _, row := range []struct {
		cause  error
		class  power.Class
		advice string
	}{
		{lan.ErrPassword, power.Denied, "check user and password at the BMC's own web page before trying again, BMCs lock accounts; some keep 16 bytes of a longer password"},
		{lan.ErrUser, power.Denied, "check the user's name, and that the user is enabled and may use IPMI over LAN"},
		{lan.ErrPrivilege, power.Denied, "give the user the role operator or administrator in the BMC's settings"},
		{lan.ErrKey, power.Denied, "clear it in the BMC's settings"},
		{lan.ErrSuites, power.Transient, "enable cipher suite 17 or 3 for administrators in the BMC's settings"},
		{lan.ErrVersion, power.Transient, "try interface lan instead of lanplus, or the other way round"},
		{lan.ErrSessions, power.Transient, "it frees them after a minute; if not, restart the BMC"},
		{lan.ErrUnreachable, power.Transient, "check address and port, that the network lets UDP through, and that IPMI over LAN is enabled in the BMC's settings"},
		{ErrNoDevice, power.Transient, "load the modules ipmi_si and ipmi_devintf; machines without a BMC have none"},
		{ErrBootNotKept, power.Refused, "put the network first in the boot order of the machine's firmware, or update the BMC's firmware"},
		{lan.ErrNoAnswer, power.Transient, "it may be busy; if it stays so, restart the BMC"},
	} {
		if errors.Is(err, row.cause) {
			return power.Classify(fmt.Errorf("%w: %s", err, row.advice), row.class)
		}
	}
	if isUnsupported(err) {
		return power.Classify(err, power.Refused)
	}
	return err
}
