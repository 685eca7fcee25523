package ipmi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/internal/pause"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// The interfaces, as ipmitool names them and Server's spec.bmc.interface has them.
const (
	Lanplus = "lanplus" // IPMI 2.0 over the network
	Lan     = "lan"     // IPMI 1.5 over the network
	Open    = "open"    // the kernel's IPMI device
)

// DefaultPort is IPMI's UDP port.
const DefaultPort = 623

// Suites are the cipher suites that are tried, in this order: SHA-256 first; 3, which every BMC must have; and those with
// MD5, for firmware in which the others are broken. Suites without encryption or with RC4 are none of them.
func Suites() []lan.Suite { return []lan.Suite{17, 3, 8, 12} }

// Config says which BMC.
type Config struct {
	// Endpoint is the BMC's name or address. Of no use with Open.
	Endpoint string
	// Port is DefaultPort when 0.
	Port int
	// Interface is Lanplus when empty.
	Interface string
	// User and Password have lan.MaxUser and lan.MaxPassword bytes at most.
	User, Password string
	// Suite is tried before the others: that which worked the last time, from Driver.Suite. 0 when there is none.
	Suite lan.Suite
	// Wait is how long the answer to a datagram is waited for before it is sent again: 1 s. The third and further ones are
	// given twice as long each time.
	Wait time.Duration
}

// Driver controls one machine. BMCs have few sessions and little time: calls are made one after another, in one session.
type Driver struct {
	config  Config
	address string

	turn   chan struct{} // held by the call that is being made
	link   link
	used   time.Time // when the link last was
	closed bool

	suite atomic.Uint32
}

var _ power.Driver = (*Driver)(nil)

// New checks the configuration and reports all that is wrong with it. Nothing is sent until the first call.
func New(config Config) (*Driver, error) {
	config.Interface = cmp.Or(config.Interface, Lanplus)
	config.Port = cmp.Or(config.Port, DefaultPort)
	config.Wait = cmp.Or(config.Wait, time.Second)
	if err := validate(config); err != nil {
		return nil, power.Classify(fmt.Errorf("configure IPMI: %w", err), power.Denied)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(config.Endpoint, "["), "]")
	d := &Driver{config: config, address: net.JoinHostPort(host, strconv.Itoa(config.Port)), turn: make(chan struct{}, 1)}
	d.suite.Store(uint32(config.Suite))
	return d, nil
}

func validate(config Config) error {
	if config.Interface == Open {
		return nil
	}
	var mistakes []error
	mistake := func(format string, arguments ...any) { mistakes = append(mistakes, fmt.Errorf(format, arguments...)) }
	most := lan.MaxPassword
	switch config.Interface {
	case Lanplus:
	case Lan:
		most = lan.MaxPassword15
	default:
		mistake("interface: %q is not %s, %s or %s", config.Interface, Lanplus, Lan, Open)
	}
	if config.Endpoint == "" {
		mistake("endpoint: the BMC's name or address is missing")
	}
	if config.Port < 1 || config.Port > 65535 {
		mistake("port: %d is not a UDP port", config.Port)
	}
	if config.User == "" || config.Password == "" {
		mistake("user, password: both are needed")
	}
	if length := len(config.User); length > lan.MaxUser {
		mistake("user: has %d bytes, IPMI has %d at most: use another user of the BMC", length, lan.MaxUser)
	}
	if length := len(config.Password); length > most {
		mistake("password: has %d bytes, IPMI has %d at most with interface %s: set a shorter one in the BMC", length, most, config.Interface)
	}
	if config.Suite != 0 && !slices.Contains(Suites(), config.Suite) {
		mistake("suite: %d is not one of %v", config.Suite, Suites())
	}
	return errors.Join(mistakes...)
}

// Suite is the cipher suite that worked last, to be kept for the next driver. 0 before the first call, and without Lanplus.
func (d *Driver) Suite() lan.Suite { return lan.Suite(d.suite.Load()) }

// State asks whether the machine has power.
func (d *Driver) State(ctx context.Context) (power.State, error) {
	state := power.Unknown
	err := d.do(ctx, "read power state", func(ctx context.Context, bmc *conversation) error {
		on, err := hasPower(ctx, bmc)
		switch {
		case err != nil:
		case on:
			state = power.On
		default:
			state = power.Off
		}
		return err
	})
	return state, err
}

// On gives the machine power.
func (d *Driver) On(ctx context.Context) error {
	return d.do(ctx, "turn on", func(ctx context.Context, bmc *conversation) error {
		on, err := hasPower(ctx, bmc)
		if err != nil || on {
			return err
		}
		return control(ctx, bmc, chassis.ChassisControlPowerUp)
	})
}

// Off takes the machine's power.
func (d *Driver) Off(ctx context.Context) error {
	return d.do(ctx, "turn off", func(ctx context.Context, bmc *conversation) error {
		on, err := hasPower(ctx, bmc)
		if err != nil || !on {
			return err
		}
		return control(ctx, bmc, chassis.ChassisControlPowerDown)
	})
}

// Cycle takes the machine's power and gives it again; a machine without power gets it. BMCs refuse to cycle that, or do
// nothing.
func (d *Driver) Cycle(ctx context.Context) error {
	return d.do(ctx, "power-cycle", func(ctx context.Context, bmc *conversation) error {
		on, err := hasPower(ctx, bmc)
		if err != nil {
			return err
		}
		if !on {
			return control(ctx, bmc, chassis.ChassisControlPowerUp)
		}
		err = control(ctx, bmc, chassis.ChassisControlPowerCycle)
		if isUnsupported(err) {
			return offAndOn(ctx, bmc)
		}
		return err
	})
}

// pollInterval is how often it is asked whether the power has gone.
const pollInterval = 500 * time.Millisecond

// offAndOn is for BMCs that cannot cycle, which they need not (IPMI v2.0 table 28-4).
func offAndOn(ctx context.Context, bmc *conversation) error {
	if err := control(ctx, bmc, chassis.ChassisControlPowerDown); err != nil {
		return err
	}
	for {
		on, err := hasPower(ctx, bmc)
		if err != nil {
			return fmt.Errorf("wait for power to go, so the machine may be off now: %w", err)
		}
		if !on {
			return control(ctx, bmc, chassis.ChassisControlPowerUp)
		}
		if err := pause.For(ctx, pollInterval); err != nil {
			return fmt.Errorf("wait for power to go, so the machine may be off now: %w", err)
		}
	}
}

func hasPower(ctx context.Context, bmc *conversation) (bool, error) {
	var status chassis.GetChassisStatusResponse
	err := bmc.ask(ctx, &chassis.GetChassisStatusRequest{}, &status)
	return status.PowerIsOn, err
}

func control(ctx context.Context, bmc *conversation, what chassis.ChassisControl) error {
	return bmc.ask(ctx, &chassis.ChassisControlRequest{ChassisControl: what}, &chassis.ChassisControlResponse{})
}

// Device is what a BMC says of itself.
type Device struct {
	// Manufacturer is its number in IANA's list of enterprises, and Product one of the manufacturer's.
	Manufacturer uint32
	Product      uint16
	// Firmware and IPMI are versions, as in 2.5 and 2.0.
	Firmware, IPMI string
}

// Device asks the BMC who it is.
func (d *Driver) Device(ctx context.Context) (Device, error) {
	var id app.GetDeviceIDResponse
	err := d.do(ctx, "identify BMC", func(ctx context.Context, bmc *conversation) error {
		return bmc.ask(ctx, &app.GetDeviceIDRequest{}, &id)
	})
	if err != nil {
		return Device{}, err
	}
	return Device{
		Manufacturer: id.ManufacturerID, Product: id.ProductID,
		Firmware: fmt.Sprintf("%d.%02d", id.MajorFirmwareRevision, id.MinorFirmwareRevision),
		IPMI:     fmt.Sprintf("%d.%d", id.MajorIPMIVersion, id.MinorIPMIVersion),
	}, nil
}
