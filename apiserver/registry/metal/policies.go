package metal

import (
	"net"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/expression"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

var (
	wipeDisks   = []v1alpha2.WipeDisks{v1alpha2.WipeAll, v1alpha2.WipeInstallDisk, v1alpha2.WipeSelected, v1alpha2.WipeNone}
	wipeMethods = []v1alpha2.WipeMethod{v1alpha2.WipeFast, v1alpha2.WipeDiscard, v1alpha2.WipeSecure, v1alpha2.WipeZero}
	webhookAuth = []string{"basic", "digest", "bearer"}
	presets     = []string{"home-assistant", "shelly-gen1", "shelly-gen2", "tasmota"} // see power/webhook
)

// validateWipe refuses a policy that could mean another disk than was thought of.
func validateWipe(path *field.Path, wipe *v1alpha2.WipePolicy) field.ErrorList {
	if wipe == nil {
		return nil
	}

	errs := registry.Optional(path.Child("disks"), wipe.Disks, wipeDisks)
	errs = append(errs, registry.Optional(path.Child("method"), wipe.Method, wipeMethods)...)

	switch {
	case wipe.Disks == v1alpha2.WipeInstallDisk && wipe.InstallDisk == nil:
		errs = append(errs, field.Required(path.Child("installDisk"), "names the disk to wipe"))
	case wipe.Disks != v1alpha2.WipeInstallDisk && wipe.InstallDisk != nil:
		errs = append(errs, field.Forbidden(path.Child("installDisk"), "only with disks: installDisk"))
	}

	switch {
	case wipe.Disks == v1alpha2.WipeSelected && len(wipe.Selected) == 0:
		errs = append(errs, field.Required(path.Child("selected"), "names the disks to wipe"))
	case wipe.Disks != v1alpha2.WipeSelected && len(wipe.Selected) > 0:
		errs = append(errs, field.Forbidden(path.Child("selected"), "only with disks: selected"))
	}

	if wipe.InstallDisk != nil {
		errs = append(errs, validateDisk(path.Child("installDisk"), *wipe.InstallDisk)...)
	}

	for i, disk := range wipe.Selected {
		errs = append(errs, validateDisk(path.Child("selected").Index(i), disk)...)
	}

	for i, disk := range wipe.Keep {
		errs = append(errs, validateDisk(path.Child("keep").Index(i), disk)...)
	}

	return errs
}

// validateDisk refuses a selector that would choose every disk.
func validateDisk(path *field.Path, disk v1alpha2.DiskSelector) field.ErrorList {
	var errs field.ErrorList

	if disk == (v1alpha2.DiskSelector{}) {
		errs = append(errs, field.Required(path, "an empty one matches every disk"))
	}

	for name, text := range map[string]struct{ given, left string }{
		"name":   {disk.Name, strings.TrimPrefix(disk.Name, "/dev/")},
		"serial": {disk.Serial, strings.TrimSpace(disk.Serial)},
		"wwid":   {disk.WWID, wipepolicy.BareWWID(disk.WWID)},
	} {
		if text.given != "" && text.left == "" {
			errs = append(errs, field.Invalid(path.Child(name), text.given, "says nothing, and would match every disk"))
		}
	}

	if disk.MinSize < 0 {
		errs = append(errs, field.Invalid(path.Child("minSize"), disk.MinSize, "must not be negative"))
	}

	if disk.MaxSize < 0 || disk.MaxSize > 0 && disk.MaxSize < disk.MinSize {
		errs = append(errs, field.Invalid(path.Child("maxSize"), disk.MaxSize, "must not be less than minSize"))
	}

	return errs
}

func validatePower(path *field.Path, spec *v1alpha2.ServerSpec) field.ErrorList {
	power := spec.Power
	if power == nil {
		return nil
	}

	errs := registry.Optional(path.Child("driver"), power.Driver, v1alpha2.PowerDrivers())

	for driver, missing := range map[v1alpha2.PowerDriver]bool{
		v1alpha2.PowerIPMI:    spec.BMC == nil,
		v1alpha2.PowerRedfish: spec.BMC == nil && power.Redfish == nil,
		v1alpha2.PowerAPI:     spec.ManagementAPI == nil,
		v1alpha2.PowerWebhook: power.Webhook == nil,
	} {
		if power.Driver == driver && missing {
			errs = append(errs, field.Invalid(path.Child("driver"), driver, "its settings are missing"))
		}
	}

	if power.Redfish != nil && power.Redfish.Endpoint == "" && spec.BMC == nil {
		errs = append(errs, field.Required(path.Child("redfish", "endpoint"), "there is no spec.bmc to take it from"))
	}

	if power.WakeOnLAN != nil {
		errs = append(errs, validateWakeOnLAN(path.Child("wakeOnLAN"), power.WakeOnLAN)...)
	}

	if power.Webhook != nil {
		errs = append(errs, validateWebhook(path.Child("webhook"), power.Webhook)...)
	}

	return errs
}

func validateWakeOnLAN(path *field.Path, wol *v1alpha2.WakeOnLANPower) field.ErrorList {
	var errs field.ErrorList

	for i, mac := range wol.MACs {
		if address, err := net.ParseMAC(mac); err != nil || len(address) != len(net.HardwareAddr{0, 0, 0, 0, 0, 0}) {
			errs = append(errs, field.Invalid(path.Child("macs").Index(i), mac, "must be like 52:54:00:12:34:56"))
		}
	}

	if wol.Address != "" {
		if _, err := netip.ParseAddrPort(wol.Address); err != nil {
			errs = append(errs, field.Invalid(path.Child("address"), wol.Address, "must be IP:PORT"))
		}
	}

	return errs
}

// validateWebhook refuses what is neither a preset nor requests. What the requests say is checked when they are used.
func validateWebhook(path *field.Path, hook *v1alpha2.WebhookPower) field.ErrorList {
	errs := registry.Optional(path.Child("preset"), hook.Preset, presets)
	errs = append(errs, registry.Optional(path.Child("auth"), hook.Auth, webhookAuth)...)

	switch {
	case hook.Preset != "" && hook.URL == "":
		errs = append(errs, field.Required(path.Child("url"), "how the device is reached"))
	case hook.Preset == "" && hook.On == nil:
		errs = append(errs, field.Required(path.Child("on"), "the request that turns the machine on, or a preset"))
	case hook.Preset == "" && hook.State != nil && hook.Off == nil:
		errs = append(errs, field.Required(path.Child("off"), "a machine whose state can be asked for is turned off when it has nothing to do"))
	case hook.Preset != "" && hook.On != nil:
		errs = append(errs, field.Forbidden(path.Child("on"), "a preset has its own"))
	}

	if hook.SecretRef != nil {
		errs = append(errs, required(path.Child("secretRef", "name"), hook.SecretRef.Name)...)
	}

	return errs
}

func validateExpression(path *field.Path, text string) field.ErrorList {
	if text == "" {
		return nil
	}

	if _, err := expression.Compile(text); err != nil {
		return field.ErrorList{field.Invalid(path, text, err.Error())}
	}

	return nil
}
