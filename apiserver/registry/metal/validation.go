package metal

import (
	"encoding/hex"
	"fmt"

	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

const (
	maxPort = 65535

	sha512Bytes = 64
)

var (
	bootFromDisk   = []v1alpha2.BootFromDisk{v1alpha2.BootIPXEExit, v1alpha2.Boot404, v1alpha2.BootSANDisk}
	pxeModes       = []v1alpha2.PXEMode{v1alpha2.PXEModeBIOS, v1alpha2.PXEModeUEFI}
	ipmiInterfaces = []string{"lan", "lanplus", "open"}
)

func validateServer(s *v1alpha2.Server) field.ErrorList {
	spec := field.NewPath("spec")

	errs := registry.Optional(spec.Child("bootFromDiskMethod"), s.Spec.BootFromDiskMethod, bootFromDisk)
	errs = append(errs, registry.Optional(spec.Child("pxeMode"), s.Spec.PXEMode, pxeModes)...)
	errs = append(errs, ValidatePatches(spec, s.Spec.ConfigPatches, s.Spec.StrategicPatches)...)

	errs = append(errs, validateHardware(spec.Child("hardware"), s.Spec.Hardware)...)

	errs = append(errs, validatePower(spec.Child("power"), &s.Spec)...)
	errs = append(errs, validateWipe(spec.Child("wipe"), s.Spec.Wipe)...)

	if s.Spec.BMC != nil {
		errs = append(errs, validateBMC(spec.Child("bmc"), s.Spec.BMC)...)
	}

	if s.Spec.ManagementAPI != nil && s.Spec.ManagementAPI.Endpoint == "" {
		errs = append(errs, field.Required(spec.Child("managementApi", "endpoint"), "host:port of the power interface"))
	}

	return errs
}

// validateServerStatus refuses what lacks a part, and two conditions of one type: the list is a map to server-side apply.
func validateServerStatus(s *v1alpha2.Server) field.ErrorList {
	errs := v1alpha2.ValidateConditions(field.NewPath("status", "conditions"), s.Status.Conditions)

	for i, address := range s.Status.Addresses {
		path := field.NewPath("status", "addresses").Index(i)
		errs = append(errs, required(path.Child("type"), string(address.Type))...)
		errs = append(errs, required(path.Child("address"), address.Address)...)
	}

	return errs
}

func validateEnvironmentStatus(e *v1alpha2.Environment) field.ErrorList {
	var errs field.ErrorList

	for i, c := range e.Status.Conditions {
		path := field.NewPath("status", "conditions").Index(i)
		errs = append(errs, required(path.Child("type"), c.Type)...)
		errs = append(errs, required(path.Child("status"), c.Status)...)
	}

	return errs
}

func required(path *field.Path, value string) field.ErrorList {
	if value != "" {
		return nil
	}

	return field.ErrorList{field.Required(path, "")}
}

// validateServerClass refuses what upstream's schema refuses; see doubtServerClass for the rest.
func validateServerClass(c *v1alpha2.ServerClass) field.ErrorList {
	var errs field.ErrorList

	path := field.NewPath("spec", "qualifiers", "hardware")
	if n := len(c.Spec.Qualifiers.Hardware); n > mostHardware {
		return field.ErrorList{field.TooMany(path, n, mostHardware)}
	}

	for i := range c.Spec.Qualifiers.Hardware {
		errs = append(errs, validateHardware(path.Index(i), &c.Spec.Qualifiers.Hardware[i])...)
	}

	errs = append(errs, validateExpression(field.NewPath("spec", "expression"), c.Spec.Expression)...)
	errs = append(errs, validateWipe(field.NewPath("spec", "wipe"), c.Spec.Wipe)...)

	return errs
}

// doubtServerClass tells what is wrong with a class that upstream accepts all the same, although it has no effect, or another than
// meant.
func doubtServerClass(c *v1alpha2.ServerClass) field.ErrorList {
	spec := field.NewPath("spec")

	errs := registry.Optional(spec.Child("bootFromDiskMethod"), c.Spec.BootFromDiskMethod, bootFromDisk)
	errs = append(errs, ValidatePatches(spec, c.Spec.ConfigPatches, c.Spec.StrategicPatches)...)
	errs = append(errs, DoubtPatches(spec, c.Spec.StrategicPatches)...)

	return append(errs, metav1validation.ValidateLabelSelector(&c.Spec.Selector,
		metav1validation.LabelSelectorValidationOptions{}, spec.Child("selector"))...)
}

func validateEnvironment(e *v1alpha2.Environment) field.ErrorList {
	spec := field.NewPath("spec")

	return append(
		validateAsset(spec.Child("kernel"), e.Spec.Kernel.Asset),
		validateAsset(spec.Child("initrd"), e.Spec.Initrd.Asset)...)
}

// validateAsset refuses a digest that no file can have: every download would fail on it.
func validateAsset(path *field.Path, asset v1alpha2.Asset) field.ErrorList {
	if asset.SHA512 == "" {
		return nil
	}

	if digest, err := hex.DecodeString(asset.SHA512); err != nil || len(digest) != sha512Bytes {
		return field.ErrorList{field.Invalid(path.Child("sha512"), asset.SHA512, "must be empty or 128 hexadecimal digits")}
	}

	return nil
}

func validateBMC(path *field.Path, bmc *v1alpha2.BMC) field.ErrorList {
	errs := registry.Optional(path.Child("interface"), bmc.Interface, ipmiInterfaces)

	if bmc.Endpoint == "" {
		errs = append(errs, field.Required(path.Child("endpoint"), "address or host name of the BMC"))
	}

	if bmc.Port < 0 || bmc.Port > maxPort {
		errs = append(errs, field.Invalid(path.Child("port"), bmc.Port, fmt.Sprintf("must be between 0 and %d", maxPort)))
	}

	errs = append(errs, validateSource(path.Child("userFrom"), bmc.UserFrom)...)

	return append(errs, validateSource(path.Child("passFrom"), bmc.PassFrom)...)
}

func validateSource(path *field.Path, source *v1alpha2.CredentialSource) field.ErrorList {
	if source == nil || source.SecretKeyRef == nil {
		return nil
	}

	var errs field.ErrorList

	ref := source.SecretKeyRef
	for _, part := range []struct{ name, value string }{
		{"namespace", ref.Namespace}, {"name", ref.Name}, {"key", ref.Key},
	} {
		if part.value == "" {
			errs = append(errs, field.Required(path.Child("secretKeyRef", part.name), ""))
		}
	}

	return errs
}
