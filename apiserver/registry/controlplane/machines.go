package controlplane

import (
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

const maxNamingTemplate = 256

func validateMachines(m v1alpha3.MachineTemplate, path *field.Path) field.ErrorList {
	spec := path.Child("spec")
	errs := m.Metadata.Validate(path.Child("metadata"))
	gates, taints := unique{}, unique{}

	for i, gate := range m.Spec.ReadinessGates {
		at := spec.Child("readinessGates").Index(i)
		errs = append(errs, present(at, part{"conditionType", gate.ConditionType})...)
		errs = append(errs, gates.add(at, gate.ConditionType)...)
		errs = append(errs, registry.Optional(at.Child("polarity"), gate.Polarity, []string{"Positive", "Negative"})...)
	}

	for i, taint := range m.Spec.Taints {
		at := spec.Child("taints").Index(i)
		errs = append(errs, present(at, part{"key", taint.Key})...)
		errs = append(errs, taints.add(at, taint.Key+":"+string(taint.Effect))...)
		errs = append(errs, registry.OneOf(at.Child("effect"), taint.Effect,
			[]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute})...)
		errs = append(errs, registry.Optional(at.Child("propagation"), taint.Propagation, []string{"Always", "OnInitialization"})...)
	}

	return append(errs, validateDeletion(m.Spec.Deletion, spec.Child("deletion"))...)
}

func validateDeletion(d v1alpha3.MachineDeletion, path *field.Path) field.ErrorList {
	errs := registry.Between(path.Child("nodeDrainTimeoutSeconds"), d.NodeDrainTimeoutSeconds, 0, math.MaxInt32)
	errs = append(errs, registry.Between(path.Child("nodeVolumeDetachTimeoutSeconds"), d.NodeVolumeDetachTimeoutSeconds, 0, math.MaxInt32)...)

	return append(errs, registry.Between(path.Child("nodeDeletionTimeoutSeconds"), d.NodeDeletionTimeoutSeconds, 0, math.MaxInt32)...)
}

// unique are the keys of a list that is a map to server-side apply, which fails on two items of one key.
type unique map[string]bool

// add refuses a key that is there already.
func (u unique) add(path *field.Path, key string) field.ErrorList {
	if u[key] {
		return field.ErrorList{field.Duplicate(path, key)}
	}

	u[key] = true

	return nil
}

// validateNaming makes names from the template: they must differ, and be names that a Machine can have.
func validateNaming(s *v1alpha3.MachineNamingStrategy, path *field.Path) field.ErrorList {
	if s == nil || s.Template == "" {
		return nil
	}

	template := path.Child("template")
	if len(s.Template) > maxNamingTemplate {
		return field.ErrorList{field.TooLong(template, "", maxNamingTemplate)}
	}

	one, err := s.Name("cluster", "control-plane", "bcdfg")
	if err != nil {
		return field.ErrorList{field.Invalid(template, s.Template, err.Error())}
	}

	if another, _ := s.Name("cluster", "control-plane", "hjklm"); another == one {
		return field.ErrorList{field.Invalid(template, s.Template, "must hold {{ .random }}: the machines would all have one name")}
	}

	var errs field.ErrorList
	for _, message := range validation.IsDNS1123Subdomain(one) {
		errs = append(errs, field.Invalid(template, s.Template, fmt.Sprintf("makes names like %q: %s", one, message)))
	}

	return errs
}
