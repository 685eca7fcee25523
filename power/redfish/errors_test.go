package redfish

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stmcginnis/gofish/common"
	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/power"
)

func TestClass(t *testing.T) {
	answered := func(code int) error { return fmt.Errorf("reset: %w", common.ConstructError(code, nil)) }
	_, several := choose([]string{"/1", "/2"}, "")
	_, none := choose(nil, "")
	_, notAllowed := pick([]redfish.ResetType{"Nmi"}, []redfish.ResetType{"On"})
	_, notOffered := networkBoot(&boot{Modes: []redfish.BootSourceOverrideMode{"UEFI"}}, power.BIOS)
	for _, test := range []struct {
		err  error
		want power.Class
	}{
		{ErrCredentials, power.Denied}, {answered(401), power.Denied}, {answered(403), power.Denied},
		{answered(400), power.Refused}, {answered(405), power.Refused}, {answered(501), power.Refused},
		{answered(404), power.Transient}, {answered(409), power.Transient}, {answered(500), power.Transient}, {answered(503), power.Transient},
		{&CertificateError{}, power.Refused}, {several, power.Refused}, {notAllowed, power.Refused}, {notOffered, power.Refused},
		{none, power.Transient}, {ErrNoBootOverride, power.Refused}, {ErrBootNotKept, power.Refused}, {ErrNoHTTPBoot, power.Refused},
		{context.DeadlineExceeded, power.Transient}, {errors.New("garbage"), power.Transient},
	} {
		if got := class(test.err); got != test.want {
			t.Errorf("%v is %d, not %d", test.err, got, test.want)
		}
	}
}
