package bootstrap

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

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
	errs = append(errs, metal.ValidatePatches(path.Child("configPatches"), s.ConfigPatches)...)

	for i, patch := range s.ConfigPatches {
		if patch.Path != "" && !strings.HasPrefix(patch.Path, "/") {
			errs = append(errs, field.Invalid(path.Child("configPatches").Index(i).Child("path"), patch.Path, "must begin with /"))
		}
	}

	return errs
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

	for i, patch := range s.StrategicPatches {
		var document any
		if err := yaml.Unmarshal([]byte(patch), &document); err != nil {
			errs = append(errs, field.Invalid(path.Child("strategicPatches").Index(i), "", fmt.Sprintf("is no YAML: %v", err)))
		}
	}

	return registry.Warnings(errs)
}
