package redfish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/common"
	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/internal/pause"
)

var (
	// ErrNoBootOverride is in the error of BootFromNetwork when the service has no boot override at all, as boxes that add
	// remote control to machines without a BMC do not: the machine boots by its own boot order, and can be used if that
	// begins with the network.
	ErrNoBootOverride = errors.New("the Redfish service has no boot override")
	// ErrBootNotKept is in the error when the BMC accepted a boot override and then showed another one.
	ErrBootNotKept = errors.New("the BMC accepted the boot override and did not keep it")
	// ErrNoHTTPBoot is in the error of BootFromHTTP when the machine cannot be told a URI to boot from. BootFromNetwork may
	// still work.
	ErrNoHTTPBoot = errors.New("the BMC takes no URI to boot from")
)

// errNotOffered is in the error when the machine has no such boot.
var errNotOffered = errors.New("choose boot override")

// boot is the part of a ComputerSystem's Boot that is used.
type boot struct {
	Enabled redfish.BootSourceOverrideEnabled  `json:"BootSourceOverrideEnabled"`
	Target  redfish.BootSourceOverrideTarget   `json:"BootSourceOverrideTarget"`
	Mode    redfish.BootSourceOverrideMode     `json:"BootSourceOverrideMode"`
	URI     *string                            `json:"HttpBootUri"`
	Targets []redfish.BootSourceOverrideTarget `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
	Modes   []redfish.BootSourceOverrideMode   `json:"BootSourceOverrideMode@Redfish.AllowableValues"`
}

// BootFromNetwork makes the next boot one from the network. The override is read back and compared: BMCs say 200 and keep
// what they had. Some forget it after a minute, so let On or Cycle follow at once.
func (d *Driver) BootFromNetwork(ctx context.Context, firmware power.Firmware) error {
	if d.config.HTTPBoot != "" && firmware != power.BIOS {
		if err := d.BootFromHTTP(ctx, d.config.HTTPBoot); !errors.Is(err, ErrNoHTTPBoot) {
			return err
		}
	}
	return d.do(ctx, "set network boot", func(ctx context.Context, client *gofish.APIClient) error {
		machine, err := d.get(client)
		if err != nil {
			return err
		}
		if machine.hasNoOverride() {
			return fmt.Errorf("%w: put the network first in the boot order of the machine's firmware", ErrNoBootOverride)
		}
		wanted, err := networkBoot(machine.Boot, firmware)
		if err != nil {
			return err
		}
		return d.override(ctx, client, machine, wanted)
	})
}

// BootFromHTTP makes the next boot one from a URI, by the firmware's own HTTP boot, so that no DHCP server has to name it.
// It is for UEFI.
func (d *Driver) BootFromHTTP(ctx context.Context, uri string) error {
	return d.do(ctx, "set HTTP boot", func(ctx context.Context, client *gofish.APIClient) error {
		machine, err := d.get(client)
		if err != nil {
			return err
		}
		if machine.Boot == nil || machine.Boot.URI == nil || !offers(machine.Boot.Targets, redfish.UefiHTTPBootSourceOverrideTarget) {
			return ErrNoHTTPBoot
		}
		err = d.override(ctx, client, machine, redfish.Boot{
			BootSourceOverrideEnabled: redfish.OnceBootSourceOverrideEnabled,
			BootSourceOverrideTarget:  redfish.UefiHTTPBootSourceOverrideTarget,
			BootSourceOverrideMode:    redfish.UEFIBootSourceOverrideMode,
			HTTPBootURI:               uri,
		})
		if code := status(err); code == http.StatusBadRequest || code == http.StatusMethodNotAllowed || errors.Is(err, ErrBootNotKept) {
			return fmt.Errorf("%w: %w", ErrNoHTTPBoot, err)
		}
		return err
	})
}

// hasNoOverride is true also for a Boot with other properties only.
func (s *system) hasNoOverride() bool {
	return s.Boot == nil || s.Boot.Enabled == "" && s.Boot.Target == "" && len(s.Boot.Targets) == 0 && s.Settings.Object.URI == ""
}

// networkBoot is the override that boots from the network, by what the system offers.
func networkBoot(offered *boot, firmware power.Firmware) (redfish.Boot, error) {
	wanted := redfish.Boot{
		BootSourceOverrideEnabled: redfish.OnceBootSourceOverrideEnabled,
		BootSourceOverrideTarget:  redfish.PxeBootSourceOverrideTarget,
	}
	switch firmware {
	case power.BIOS:
		wanted.BootSourceOverrideMode = redfish.LegacyBootSourceOverrideMode
	case power.UEFI:
		wanted.BootSourceOverrideMode = redfish.UEFIBootSourceOverrideMode
	}
	if mode := wanted.BootSourceOverrideMode; mode != "" && !offers(offered.Modes, mode) {
		return redfish.Boot{}, fmt.Errorf("%w: the machine boots in mode %v only, not %s: set its firmware (pxeMode) to what it has", errNotOffered, offered.Modes, mode)
	}
	if offers(offered.Targets, wanted.BootSourceOverrideTarget) {
		return wanted, nil
	}
	// Firmware without PXE for a while now comes with HTTP boot.
	if firmware != power.BIOS && offers(offered.Targets, redfish.UefiHTTPBootSourceOverrideTarget) {
		wanted.BootSourceOverrideTarget = redfish.UefiHTTPBootSourceOverrideTarget
		return wanted, nil
	}
	return redfish.Boot{}, fmt.Errorf("%w: the machine boots from %v only: enable network boot in its firmware's setup", errNotOffered, offered.Targets)
}

// offers is true for what is listed, and for all when nothing is.
func offers[T comparable](listed []T, wanted T) bool {
	return len(listed) == 0 || slices.Contains(listed, wanted)
}

// way is one of the ways in which BMCs take a boot override.
type way struct {
	uri, etag string
	boot      redfish.Boot
}

// ways are tried in order until one is kept.
func ways(machine *system, wanted redfish.Boot) []way {
	ways := []way{{machine.uri, machine.etag, wanted}}
	// AMI's MegaRAC and Dell's iDRAC 10 take overrides at the settings object only.
	settings := machine.Settings.Object.URI
	if settings != "" {
		ways = append(ways, way{settings, "", wanted})
	}
	// HPE's iLO refuses the mode as read-only, with everything else in the request; Supermicro's BMCs take their own default
	// without it. So it is left out in the second place only, and where the machine is in the wanted mode already or does
	// not tell.
	mode := wanted.BootSourceOverrideMode
	if mode != "" && (machine.Boot.Mode == "" || machine.Boot.Mode == mode) {
		wanted.BootSourceOverrideMode = ""
		ways = append(ways, way{machine.uri, machine.etag, wanted})
		if settings != "" {
			ways = append(ways, way{settings, "", wanted})
		}
	}
	return ways
}

// override sets the boot override and sees that it is kept.
func (d *Driver) override(ctx context.Context, client *gofish.APIClient, machine *system, wanted redfish.Boot) error {
	var failure error
	todo := ways(machine, wanted)
	for i := 0; i < len(todo); i++ {
		err := d.try(ctx, client, todo[i], wanted)
		if err == nil || !worthAnother(err) {
			return err
		}
		if futureState(err) && machine.Settings.Object.URI == "" {
			todo = append(todo, way{machine.uri + "/SD", "", wanted})
		}
		// What was accepted and not kept tells more than the refusal of another way.
		if failure == nil || errors.Is(err, ErrBootNotKept) && !errors.Is(failure, ErrBootNotKept) {
			failure = err
		}
	}
	return failure
}

// worthAnother is false for errors that have nothing to do with how the override was set.
func worthAnother(err error) bool {
	code := status(err)
	return errors.Is(err, ErrBootNotKept) || code >= 400 && code < 500 && code != http.StatusUnauthorized && code != http.StatusForbidden || code == http.StatusNotImplemented
}

// futureState is AMI's way to say that overrides are set at the path /SD below the system.
func futureState(err error) bool {
	var refused *common.Error
	return errors.As(err, &refused) && strings.Contains(refused.Error(), "FutureStateURI")
}

func (d *Driver) try(ctx context.Context, client *gofish.APIClient, way way, wanted redfish.Boot) error {
	refused := patch(client, way)
	if refused != nil && !worthAnother(refused) {
		return fmt.Errorf("change %s: %w", way.uri, refused)
	}
	deadline := d.now().Add(d.config.Settle)
	for {
		var now system
		if _, err := fetch(client, way.uri, &now); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		difference := compare(now.Boot, wanted)
		if difference == "" {
			return nil
		}
		// Looked at also when refused: iDRACs of Dell's 13th generation answer 400 to what they have done.
		if refused != nil {
			return fmt.Errorf("change %s: %w", way.uri, refused)
		}
		if !d.now().Before(deadline) {
			return fmt.Errorf("%w: %s: set it by hand once, or update the BMC's firmware", ErrBootNotKept, difference)
		}
		if err := pause.For(ctx, pollInterval); err != nil {
			return fmt.Errorf("read back: %s: %w", difference, err)
		}
	}
}

// patch changes a resource's Boot. BMCs want the ETag (AMI), want none at all, or compare it with one of their own making.
func patch(client *gofish.APIClient, way way) error {
	etag := way.etag
	if etag == "" {
		var err error
		if etag, err = fetch(client, way.uri, &struct{}{}); err != nil {
			return err
		}
	}
	body := struct{ Boot redfish.Boot }{way.boot}
	var err error
	for _, match := range []string{etag, "", "*"} {
		response, failed := client.PatchWithHeaders(way.uri, body, ifMatch(match))
		if failed == nil {
			return response.Body.Close()
		}
		if err == nil {
			err = failed
		}
		if code := status(failed); code != http.StatusPreconditionFailed && code != http.StatusPreconditionRequired {
			return failed
		}
	}
	return err
}

func ifMatch(etag string) map[string]string {
	if etag == "" {
		return nil
	}
	return map[string]string{"If-Match": etag}
}

// compare tells how the boot override differs from the wanted one. A mode that is not shown cannot differ.
func compare(shown *boot, wanted redfish.Boot) string {
	if shown == nil {
		return "it shows none"
	}
	uri := ""
	if shown.URI != nil {
		uri = *shown.URI
	}
	switch {
	case shown.Enabled != wanted.BootSourceOverrideEnabled || shown.Target != wanted.BootSourceOverrideTarget:
		return fmt.Sprintf("it shows %q %q, wanted is %q %q", shown.Enabled, shown.Target, wanted.BootSourceOverrideEnabled, wanted.BootSourceOverrideTarget)
	case shown.Mode != "" && wanted.BootSourceOverrideMode != "" && shown.Mode != wanted.BootSourceOverrideMode:
		return fmt.Sprintf("it shows mode %q, wanted is %q", shown.Mode, wanted.BootSourceOverrideMode)
	case wanted.HTTPBootURI != "" && uri != wanted.HTTPBootURI:
		return "it shows another URI than the wanted one"
	}
	return ""
}
