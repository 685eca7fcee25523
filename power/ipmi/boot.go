package ipmi

import (
	"context"
	"errors"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// ErrBootNotKept is in the error of BootFromNetwork when the BMC accepted the boot override and then showed another one.
var ErrBootNotKept = errors.New("the BMC accepted the boot override and did not keep it")

// Bits of the boot flags, which are parameter 5 of the boot options (IPMI v2.0 table 28-14).
const (
	flagValid  = 0x80
	flagEFI    = 0x20
	deviceMask = 0x3c
	devicePXE  = 0x04
)

// bootFlags are the first two bytes of the five. The others are 0.
type bootFlags [2]byte

func networkBoot(firmware power.Firmware) bootFlags {
	if firmware == power.UEFI {
		return bootFlags{flagValid | flagEFI, devicePXE}
	}
	return bootFlags{flagValid, devicePXE}
}

func (f bootFlags) valid() bool     { return f[0]&flagValid != 0 }
func (f bootFlags) fromPXE() bool   { return f[1]&deviceMask == devicePXE }
func (f bootFlags) efi() bool       { return f[0]&flagEFI != 0 }
func (f bootFlags) persisted() bool { return f[0]&0x40 != 0 }

// String is how an error tells them.
func (f bootFlags) String() string {
	if !f.valid() {
		return "no override"
	}
	device, firmware, times := types.BootDeviceSelector(f[1]&deviceMask>>2).String(), "BIOS", "once"
	if f.efi() {
		firmware = "UEFI"
	}
	if f.persisted() {
		times = "always"
	}
	return fmt.Sprintf("%s (%s, %s)", device, firmware, times)
}

// BootFromNetwork makes the next boot one from the network, and reads back what the BMC kept. BMCs forget it after 60 s
// (IPMI v2.0 table 28-14, parameter 3), so let On or Cycle follow at once.
func (d *Driver) BootFromNetwork(ctx context.Context, firmware power.Firmware) error {
	return d.do(ctx, "set network boot", func(ctx context.Context, bmc *conversation) error {
		wanted := networkBoot(firmware)
		before, err := readBoot(ctx, bmc)
		mute := isUnsupported(err)
		if err != nil && !mute {
			return err
		}
		if err := writeBoot(ctx, bmc, wanted); err != nil {
			return err
		}
		if mute {
			return nil
		}
		kept, err := readBoot(ctx, bmc)
		switch {
		case err != nil:
			return fmt.Errorf("read back: %w", err)
		case kept.valid() && kept.fromPXE() && kept.efi() == wanted.efi() && !kept.persisted():
			return nil
		case kept.valid() || !kept.fromPXE():
			return fmt.Errorf("%w: it shows %s", ErrBootNotKept, kept)
		case before.valid() || !before.fromPXE():
			return nil
		}
		return d.proveBoot(ctx, bmc, wanted)
	})
}

// proveBoot is for BMCs that show the network as the device and the flags as not valid, before as after: what is shown may be
// left from an earlier boot. OpenIPMI's simulator never shows the flags as valid. If the device goes and comes as it is told,
// the BMC keeps it.
func (d *Driver) proveBoot(ctx context.Context, bmc *conversation, wanted bootFlags) error {
	if err := writeBoot(ctx, bmc, bootFlags{}); err != nil {
		return err
	}
	without, err := readBoot(ctx, bmc)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if err := writeBoot(ctx, bmc, wanted); err != nil {
		return err
	}
	with, err := readBoot(ctx, bmc)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if without.fromPXE() || !with.fromPXE() {
		return fmt.Errorf("%w: it shows %s", ErrBootNotKept, with)
	}
	return nil
}

// readBoot reads the boot flags.
func readBoot(ctx context.Context, bmc *conversation) (bootFlags, error) {
	var response chassis.GetSystemBootOptionsParamResponse
	err := bmc.ask(ctx, &chassis.GetSystemBootOptionsParamRequest{ParamSelector: types.BootOptionParamSelector_BootFlags}, &response)
	if err != nil {
		return bootFlags{}, err
	}
	return parseBoot(&response)
}

func parseBoot(response *chassis.GetSystemBootOptionsParamResponse) (bootFlags, error) {
	if response.ParamSelector != types.BootOptionParamSelector_BootFlags || len(response.ParamData) < len(bootFlags{}) {
		return bootFlags{}, errors.New("the BMC's answer to a question about boot flags has none in it")
	}
	flags := bootFlags(response.ParamData[:2])
	if response.ParameterInValid {
		flags[0] &^= flagValid
	}
	return flags, nil
}

// writeBoot sets the boot flags, in the steps that BMCs are tested with: ipmitool's. All but the flags themselves may be
// refused, because not every BMC has it.
func writeBoot(ctx context.Context, bmc *conversation, flags bootFlags) error {
	steps := []struct {
		parameter types.BootOptionParamSelector
		data      []byte
		needed    bool
	}{
		{types.BootOptionParamSelector_SetInProgress, []byte{1}, false},
		{types.BootOptionParamSelector_BootInfoAcknowledge, []byte{1, 1}, false}, // the firmware has not seen it yet
		{types.BootOptionParamSelector_BootFlags, []byte{flags[0], flags[1], 0, 0, 0}, true},
		{types.BootOptionParamSelector_SetInProgress, []byte{2}, false},
		{types.BootOptionParamSelector_SetInProgress, []byte{0}, false},
	}
	var failure error
	for _, step := range steps {
		err := bmc.ask(ctx, &chassis.SetSystemBootOptionsParamRequest{ParamSelector: step.parameter, ParamData: step.data}, &chassis.SetSystemBootOptionsParamResponse{})
		var refused *RefusedError
		switch {
		case err == nil:
		case !errors.As(err, &refused):
			return err
		case step.needed:
			// Not before the end: the BMC would stay locked.
			failure = err
		}
	}
	return failure
}
