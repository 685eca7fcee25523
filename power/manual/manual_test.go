package manual_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/manual"
)

func TestEverythingNeedsAPerson(t *testing.T) {
	var driver power.Driver = manual.Driver{}
	calls := map[string]func(context.Context) error{
		"turn the machine on":                driver.On,
		"turn the machine off":               driver.Off,
		"turn the machine off and on again":  driver.Cycle,
		"legacy BIOS: PXE":                   func(ctx context.Context) error { return driver.BootFromNetwork(ctx, power.BIOS) },
		"UEFI: PXE or HTTP, IPv4":            func(ctx context.Context) error { return driver.BootFromNetwork(ctx, power.UEFI) },
		"put the network first in the boot ": func(ctx context.Context) error { return driver.BootFromNetwork(ctx, "") },
	}
	for want, call := range calls {
		err := call(t.Context())
		var person *power.NeedsPersonError
		if !errors.As(err, &person) || !strings.Contains(person.Action, want) {
			t.Errorf("want a person to %q, got %v", want, err)
		}
	}
	if state, err := driver.State(t.Context()); state != power.Unknown || err != nil {
		t.Errorf("state is %q, %v", state, err)
	}
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
}
