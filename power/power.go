// Package power turns machines on and off.
//
// A Driver speaks to what controls the power of one machine: a BMC, a smart plug, or a person. The drivers are in the
// packages below this one. They know nothing of Kubernetes.
package power

import (
	"context"
	"fmt"
)

// State is whether a machine has power.
type State string

// The states, as Server's status.power has them.
const (
	On      State = "on"
	Off     State = "off"
	Unknown State = "unknown"
)

// Firmware is how a machine's firmware is asked to boot from the network: a BMC that has both needs to be told which.
type Firmware string

// The firmwares, as Server's spec.pxeMode has them.
const (
	BIOS Firmware = "bios"
	UEFI Firmware = "uefi"
)

// Driver controls the power of one machine. Every call ends when its context does, and several may be made at the same
// time. A call that returns nil has done what it says as far as the driver can tell; that is not the same as that it came
// true, because BMCs lie.
type Driver interface {
	// State asks whether the machine has power. What cannot tell, says Unknown and no error.
	State(ctx context.Context) (State, error)
	// On gives the machine power. It is no error if it has power already.
	On(ctx context.Context) error
	// Off takes the machine's power without asking its operating system. It is no error if it has none.
	Off(ctx context.Context) error
	// Cycle takes the machine's power and gives it again.
	Cycle(ctx context.Context) error
	// BootFromNetwork makes the machine's next boot, and only that, one from the network.
	BootFromNetwork(ctx context.Context, firmware Firmware) error
	// Close ends sessions. The driver is of no use afterwards.
	Close() error
}

// NeedsPersonError is the error of a driver for what only a person at the machine can do.
type NeedsPersonError struct {
	// Action is what the person has to do, as in "turn the machine on".
	Action string
}

// Error says what to do.
func (e *NeedsPersonError) Error() string {
	return fmt.Sprintf("a person has to do it: %s", e.Action)
}
