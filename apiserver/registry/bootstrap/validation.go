package bootstrap

import (
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/metal"
)

// talosVersion is one as Talos takes it: the v in front and what follows the second number do not matter.
var talosVersion = regexp.MustCompile(`^v?\d+\.\d+($|\.)`)

func generateTypes() []v1alpha3.GenerateType {
	return []v1alpha3.GenerateType{
		v1alpha3.GenerateControlPlane, v1alpha3.GenerateWorker, v1alpha3.GenerateJoin, v1alpha3.GenerateInit, v1alpha3.GenerateNone,
	}
}

func hostnameSources() []v1alpha3.HostnameSource {
	return []v1alpha3.HostnameSource{v1alpha3.HostnameFromMachine, v1alpha3.HostnameFromInfrastructure}
}

// ValidateSpec refuses what no machine configuration can be made from.
func ValidateSpec(s v1alpha3.TalosConfigSpec, path *field.Path) field.ErrorList {
	errs := ValidateTemplate(s, path)

	if s.GenerateType == v1alpha3.GenerateNone && s.Data == "" {
		errs = append(errs, field.Required(path.Child("data"), "with generateType none the machine configuration is given here"))
	}

	return errs
}

// ValidateTemplate refuses of a template what ValidateSpec does, but lets it leave open what patches of a ClusterClass supply.
func ValidateTemplate(s v1alpha3.TalosConfigSpec, path *field.Path) field.ErrorList {
	errs := registry.OneOf(path.Child("generateType"), s.GenerateType, generateTypes())
	errs = append(errs, registry.Optional(path.Child("hostname", "source"), s.Hostname.Source, hostnameSources())...)

	return append(errs, metal.ValidatePatches(path, s.ConfigPatches, s.StrategicPatches)...)
}

// Settle writes the patches in the one way that they are compared in, and tells what upstream accepts and then fails on.
func Settle(s v1alpha3.TalosConfigSpec, path *field.Path) []string {
	metal.Canonical(s.ConfigPatches)

	var errs field.ErrorList

	if s.GenerateType != v1alpha3.GenerateNone && s.Data != "" {
		errs = append(errs, field.Forbidden(path.Child("data"), "goes with generateType none, and has no effect here"))
	}

	if s.TalosVersion != "" && !talosVersion.MatchString(s.TalosVersion) {
		errs = append(errs, field.Invalid(path.Child("talosVersion"), s.TalosVersion, "must be like v1.13"))
	}

	return registry.Warnings(errs)
}

// Doubt finds what a newer Talos may take, and the one that is known here does not.
func Doubt(s v1alpha3.TalosConfigSpec, path *field.Path) field.ErrorList {
	return metal.DoubtPatches(path, s.StrategicPatches)
}
