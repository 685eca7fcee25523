package bmc

import (
	"context"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"
	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

// User and Password log in to every BMC.
const (
	User     = "admin"
	Password = "password"
)

// What a BMC can be told to change, as Changes has it.
const (
	On      = "on"
	Off     = "off"
	Cycle   = "cycle"
	Network = "boot from the network" // once
)

// BMC is a machine's, of either kind.
type BMC interface {
	// Changes are what it was told to change, in order, those refused included.
	Changes() []string
	// Asked is how many requests it had.
	Asked() int
	// Press is somebody at the machine's button, whom the BMC sees.
	Press(on bool)
	// Close ends it; the machine stays as it is.
	Close() error
}

// IPMI is a BMC that speaks IPMI.
type IPMI struct{ *simulator.Server }

// NewIPMI starts a machine's BMC at an address of the node, HOST:0 for any port. Without an order to boot from the network
// the machine starts from its disks; it heeds that order only when it is for its firmware. A nil machine is one whose power
// nobody looks at.
func NewIPMI(node *lab.Node, address string, m *Machine) (*IPMI, error) {
	config := simulator.Config{
		Address: address, Users: []simulator.User{{Name: User, Password: Password}}, On: m == nil || m.On(),
		Power: func(on bool, boot simulator.Boot) {
			if m != nil {
				m.press(on, m.orders(boot.Network && boot.UEFI == (m.is.Firmware != lab.BIOS)))
			}
		},
	}

	var started *simulator.Server

	err := node.Inside(func() (err error) {
		started, err = simulator.Start(config)

		return err //nolint:wrapcheck // it says all
	})
	if err != nil {
		return nil, err
	}

	return &IPMI{started}, nil
}

// orders is where the machine looks for something to start.
func (m *Machine) orders(network bool) lab.Boot {
	if network {
		return lab.FromNetwork
	}

	return lab.FromDisk
}

// Changes implements BMC.
func (b *IPMI) Changes() []string {
	var changes []string

	for _, entry := range b.Log() {
		switch entry.Command {
		case types.CommandChassisControl.Name:
			changes = append(changes, control(entry.Data))
		case types.CommandSetSystemBootOptions.Name:
			// The other parameters only prepare this one.
			if len(entry.Data) > 0 && entry.Data[0]&0x7f == byte(types.BootOptionParamSelector_BootFlags) {
				changes = append(changes, Network)
			}
		}
	}

	return changes
}

// control is what Chassis Control (IPMI v2.0 table 28-4) does.
func control(data []byte) string {
	if len(data) == 0 {
		return "nothing"
	}

	switch what := chassis.ChassisControl(data[0] & 0x0f); what {
	case chassis.ChassisControlPowerUp:
		return On
	case chassis.ChassisControlPowerDown, chassis.ChassisControlSoftShutdown:
		return Off
	case chassis.ChassisControlPowerCycle, chassis.ChassisControlHardReset:
		return Cycle
	default:
		return fmt.Sprintf("chassis control %d", what)
	}
}

// Asked implements BMC.
func (b *IPMI) Asked() int { return len(b.Log()) }

// Redfish is a BMC that speaks Redfish.
type Redfish struct{ *emulator.Server }

// system is the only one of each Redfish service.
const system = "1"

// NewRedfish is NewIPMI for Redfish.
func NewRedfish(node *lab.Node, address string, m *Machine) (*Redfish, error) {
	config := emulator.Config{
		Address: address, User: User, Password: Password, Systems: []emulator.System{{ID: system, On: m.On()}},
		Power: func(_ string, on bool, boot emulator.Boot) {
			fits := boot.Mode == redfish.UEFIBootSourceOverrideMode == (m.is.Firmware != lab.BIOS)
			m.press(on, m.orders(boot.Target == redfish.PxeBootSourceOverrideTarget && fits))
		},
	}

	var started *emulator.Server

	err := node.Inside(func() (err error) {
		started, err = emulator.Start(config)

		return err //nolint:wrapcheck // it says all
	})
	if err != nil {
		return nil, err
	}

	return &Redfish{started}, nil
}

// Changes implements BMC.
func (b *Redfish) Changes() []string {
	var changes []string

	for _, action := range b.Actions() {
		switch kind, what, _ := strings.Cut(action, " "); kind {
		case "login", "logout":
		case "reset":
			changes = append(changes, reset(redfish.ResetType(what)))
		case "boot":
			changes = append(changes, Network)
		default:
			changes = append(changes, action)
		}
	}

	return changes
}

// reset is what a type of reset (DSP0268, Resource.ResetType) does.
func reset(kind redfish.ResetType) string {
	switch kind {
	case redfish.OnResetType, redfish.ForceOnResetType:
		return On
	case redfish.ForceOffResetType, redfish.GracefulShutdownResetType:
		return Off
	case redfish.ForceRestartResetType, redfish.GracefulRestartResetType, redfish.PowerCycleResetType:
		return Cycle
	default:
		return "reset " + string(kind)
	}
}

// Asked implements BMC.
func (b *Redfish) Asked() int { return len(b.Commands()) }

// Press implements BMC.
func (b *Redfish) Press(on bool) { b.SetPower(system, on) }

// Attach adds a computer with this address to the lab's LAN, for BMCs to listen on.
func Attach(ctx context.Context, l *lab.Lab, address string) (*lab.Node, error) {
	node, err := l.Attach(ctx, "bmc-"+address)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says all
	}

	return node, node.Run(node.Command(ctx, "ip", "address", "add", address+"/24", "dev", "eth0"))
}
