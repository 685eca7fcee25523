// Package manual is the power driver of machines that nothing but a person can turn on and off.
//
// It talks to nothing: each call returns a power.NeedsPersonError, which says what to do at the machine.
package manual

import (
	"context"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// Driver asks a person. Its zero value is ready for use.
type Driver struct{}

var _ power.Driver = Driver{}

// State is always power.Unknown: nobody is asked whether a machine runs.
func (Driver) State(context.Context) (power.State, error) { return power.Unknown, nil }

// On asks to turn the machine on.
func (Driver) On(context.Context) error {
	return &power.NeedsPersonError{Action: "turn the machine on"}
}

// Off asks to turn the machine off.
func (Driver) Off(context.Context) error {
	return &power.NeedsPersonError{Action: "turn the machine off"}
}

// Cycle asks to turn the machine off and on.
func (Driver) Cycle(context.Context) error {
	return &power.NeedsPersonError{Action: "turn the machine off and on again"}
}

// BootFromNetwork asks for what makes every later boot one from the network too, so that a person is asked once.
func (Driver) BootFromNetwork(_ context.Context, firmware power.Firmware) error {
	return &power.NeedsPersonError{Action: BootAction(firmware)}
}

// Close has nothing to end.
func (Driver) Close() error { return nil }

// BootAction is what a person does for a machine whose boot device cannot be set from outside. Other drivers without
// that say the same.
func BootAction(firmware power.Firmware) string {
	action := "put the network first in the boot order of the machine's firmware"
	if firmware == power.UEFI {
		return action + " (UEFI: PXE or HTTP, IPv4)"
	}
	return action + " (legacy BIOS: PXE)"
}
