package controlplane

import (
	"math"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	bootstrapv1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/bootstrap"
)

// kubernetesVersion is upstream's pattern: a semantic version with a v in front.
var kubernetesVersion = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)([-0-9a-zA-Z_.+]*)?$`)

// normalise fills in what upstream's webhook does.
func normalise(p *v1alpha3.TalosControlPlane) []string {
	s := &p.Spec

	if s.Replicas == nil {
		s.Replicas = new(int64(1))
	}

	if s.Version != "" && !strings.HasPrefix(s.Version, "v") {
		s.Version = "v" + s.Version
	}

	s.RolloutStrategy = withDefaults(s.RolloutStrategy)

	var warnings []string
	if *s.Replicas%2 == 0 && *s.Replicas > 0 {
		warnings = append(warnings, "spec.replicas: an even number of machines makes etcd no safer than one machine less")
	}

	return append(warnings, warnConfig(s.ControlPlaneConfig, field.NewPath("spec", "controlPlaneConfig"))...)
}

func normaliseTemplate(t *v1alpha3.TalosControlPlaneTemplate) []string {
	s := &t.Spec.Template.Spec
	s.RolloutStrategy = withDefaults(s.RolloutStrategy)

	return warnConfig(s.ControlPlaneConfig, field.NewPath("spec", "template", "spec", "controlPlaneConfig"))
}

func withDefaults(strategy *v1alpha3.RolloutStrategy) *v1alpha3.RolloutStrategy {
	if strategy == nil {
		strategy = &v1alpha3.RolloutStrategy{}
	}

	if strategy.Type == "" {
		strategy.Type = v1alpha3.RollingUpdate
	}

	if strategy.Type == v1alpha3.RollingUpdate {
		if strategy.RollingUpdate == nil {
			strategy.RollingUpdate = &v1alpha3.RollingUpdateParameters{}
		}

		if strategy.RollingUpdate.MaxSurge == nil {
			strategy.RollingUpdate.MaxSurge = new(intstr.FromInt32(1))
		}
	}

	return strategy
}

func warnConfig(c v1alpha3.ControlPlaneConfig, path *field.Path) []string {
	return bootstrap.Settle(c.ControlPlane, path.Child("controlplane"))
}

func doubtConfig(c v1alpha3.ControlPlaneConfig, path *field.Path) field.ErrorList {
	return bootstrap.Doubt(c.ControlPlane, path.Child("controlplane"))
}

func validate(p *v1alpha3.TalosControlPlane) field.ErrorList {
	spec := field.NewPath("spec")
	errs := registry.Between(spec.Child("replicas"), p.Spec.Replicas, 0, math.MaxInt32)

	if !kubernetesVersion.MatchString(p.Spec.Version) {
		errs = append(errs, field.Invalid(spec.Child("version"), p.Spec.Version, "must be a version of Kubernetes, like v1.34.0"))
	}

	errs = append(errs, validateInfrastructure(p.Spec, spec)...)
	errs = append(errs, validateMachines(p.Spec.MachineTemplate, spec.Child("machineTemplate"))...)
	errs = append(errs, validateNaming(p.Spec.MachineNamingStrategy, spec.Child("machineNamingStrategy"))...)
	errs = append(errs, validateConfig(p.Spec.ControlPlaneConfig, spec.Child("controlPlaneConfig"), bootstrap.ValidateSpec)...)

	return append(errs, validateStrategy(p.Spec.RolloutStrategy, spec.Child("rolloutStrategy"))...)
}

func validateTemplate(t *v1alpha3.TalosControlPlaneTemplate) field.ErrorList {
	template := field.NewPath("spec", "template")
	spec, s := template.Child("spec"), t.Spec.Template.Spec

	errs := t.Spec.Template.Metadata.Validate(template.Child("metadata"))
	errs = append(errs, validateMachines(s.MachineTemplate, spec.Child("machineTemplate"))...)
	errs = append(errs, validateNaming(s.MachineNamingStrategy, spec.Child("machineNamingStrategy"))...)
	errs = append(errs, validateConfig(s.ControlPlaneConfig, spec.Child("controlPlaneConfig"), bootstrap.ValidateTemplate)...)

	if s.MachineTemplate.Spec.InfrastructureRef != nil {
		errs = append(errs, field.Forbidden(spec.Child("machineTemplate", "spec", "infrastructureRef"), "the ClusterClass names it"))
	}

	return append(errs, validateStrategy(s.RolloutStrategy, spec.Child("rolloutStrategy"))...)
}

// validateInfrastructure wants one of the two ways to name the template of the machines' infrastructure.
func validateInfrastructure(s v1alpha3.TalosControlPlaneSpec, path *field.Path) field.ErrorList {
	older, newer := s.InfrastructureTemplate, s.MachineTemplate.Spec.InfrastructureRef

	switch {
	case older == (corev1.ObjectReference{}) && newer == nil:
		return field.ErrorList{field.Required(path.Child("infrastructureTemplate"),
			"the template of the machines' infrastructure: here, or in spec.machineTemplate.spec.infrastructureRef")}
	case older == (corev1.ObjectReference{}):
		return present(path.Child("machineTemplate", "spec", "infrastructureRef"),
			part{"apiGroup", newer.APIGroup}, part{"kind", newer.Kind}, part{"name", newer.Name})
	case newer != nil && (newer.Name != older.Name || newer.Kind != older.Kind):
		return field.ErrorList{field.Forbidden(path.Child("machineTemplate", "spec", "infrastructureRef"),
			"names another object than spec.infrastructureTemplate: say it in one of them")}
	default:
		return present(path.Child("infrastructureTemplate"), part{"kind", older.Kind}, part{"name", older.Name})
	}
}

type part struct{ name, value string }

// present refuses empty parts.
func present(path *field.Path, parts ...part) field.ErrorList {
	var errs field.ErrorList

	for _, p := range parts {
		if p.value == "" {
			errs = append(errs, field.Required(path.Child(p.name), ""))
		}
	}

	return errs
}

// validateConfig is as strict with the configuration of the first node, which has no effect, only where it says anything:
// upstream's clients write an empty one.
func validateConfig(c v1alpha3.ControlPlaneConfig, path *field.Path, validate configValidation) field.ErrorList {
	errs := validate(c.ControlPlane, path.Child("controlplane"))

	if c.Init != nil && c.Init.GenerateType != "" {
		errs = append(errs, validate(*c.Init, path.Child("init"))...)
	}

	if kind := c.ControlPlane.GenerateType; kind == bootstrapv1.GenerateWorker || kind == bootstrapv1.GenerateJoin {
		errs = append(errs, field.Invalid(path.Child("controlplane", "generateType"), kind, "makes workers, not nodes of a control plane: must be controlplane"))
	}

	return errs
}

type configValidation func(bootstrapv1.TalosConfigSpec, *field.Path) field.ErrorList

func validateStrategy(s *v1alpha3.RolloutStrategy, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}

	errs := registry.Optional(path.Child("type"), s.Type, []v1alpha3.RolloutStrategyType{v1alpha3.RollingUpdate, v1alpha3.OnDelete})

	if s.RollingUpdate != nil && s.RollingUpdate.MaxSurge != nil {
		if surge := s.RollingUpdate.MaxSurge.String(); surge != "0" && surge != "1" {
			errs = append(errs, field.Invalid(path.Child("rollingUpdate", "maxSurge"), surge, "must be 0 or 1"))
		}
	}

	return errs
}

// validateCounts holds the numbers of the status to what clients of scale subresources can read.
func validateCounts(s v1alpha3.TalosControlPlaneStatus) field.ErrorList {
	path := field.NewPath("status")
	errs := registry.Between(path.Child("replicas"), &s.Replicas, 0, math.MaxInt32)
	errs = append(errs, registry.Between(path.Child("readyReplicas"), &s.ReadyReplicas, 0, math.MaxInt32)...)
	errs = append(errs, registry.Between(path.Child("availableReplicas"), s.AvailableReplicas, 0, math.MaxInt32)...)
	errs = append(errs, registry.Between(path.Child("upToDateReplicas"), s.UpToDateReplicas, 0, math.MaxInt32)...)
	versions := unique{}

	for i, v := range s.Versions {
		at := path.Child("versions").Index(i)
		errs = append(errs, present(at, part{"version", v.Version})...)
		errs = append(errs, versions.add(at, v.Version)...)
		errs = append(errs, registry.Between(at.Child("replicas"), &v.Replicas, 0, math.MaxInt32)...)
	}

	return append(errs, registry.Between(path.Child("unavailableReplicas"), &s.UnavailableReplicas, 0, math.MaxInt32)...)
}
