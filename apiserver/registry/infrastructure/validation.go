package infrastructure

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

type errorList = field.ErrorList

const (
	maxHost    = 512
	maxAddress = 256
	maxPort    = 65535

	anotherTemplate = "make another template and refer to that one instead"
)

func addressTypes() []string {
	return []string{
		string(v1alpha3.AddressHostname), string(v1alpha3.AddressExternalIP), string(v1alpha3.AddressInternalIP),
		string(v1alpha3.AddressExternalDNS), string(v1alpha3.AddressInternalDNS),
	}
}

func validateMetalCluster(c *v1alpha3.MetalCluster) errorList {
	return validateEndpoint(c.Spec.ControlPlaneEndpoint, field.NewPath("spec", "controlPlaneEndpoint"))
}

func validateMetalClusterTemplate(t *v1alpha3.MetalClusterTemplate) errorList {
	return append(validateTemplateMeta(t.Spec.Template.Metadata),
		validateEndpoint(t.Spec.Template.Spec.ControlPlaneEndpoint, field.NewPath("spec", "template", "spec", "controlPlaneEndpoint"))...)
}

func validateEndpoint(endpoint *v1alpha3.APIEndpoint, path *field.Path) errorList {
	if endpoint == nil {
		return nil
	}

	var errs errorList

	if endpoint.Host != "" && endpoint.Port == 0 {
		errs = append(errs, field.Required(path.Child("port"), "port of the cluster's API, which Talos serves at 6443"))
	}

	if endpoint.Host == "" && endpoint.Port != 0 {
		errs = append(errs, field.Required(path.Child("host"), "name or address of the cluster's API"))
	}

	if len(endpoint.Host) > maxHost {
		errs = append(errs, field.TooLong(path.Child("host"), endpoint.Host, maxHost))
	}

	return append(errs, registry.Between(path.Child("port"), &endpoint.Port, 0, maxPort)...)
}

func validateMetalClusterStatus(c *v1alpha3.MetalCluster) errorList {
	errs := validateConditions(c.Status.Conditions)
	seen := map[string]bool{}

	for i, domain := range c.Status.FailureDomains {
		path := field.NewPath("status", "failureDomains").Index(i).Child("name")
		if domain.Name == "" {
			errs = append(errs, field.Required(path, ""))
		}

		if seen[domain.Name] {
			errs = append(errs, field.Duplicate(path, domain.Name))
		}

		seen[domain.Name] = true
	}

	return errs
}

func validateMetalMachine(m *v1alpha3.MetalMachine) errorList {
	return validateMachineSpec(m.Spec, field.NewPath("spec"))
}

func validateMetalMachineTemplate(t *v1alpha3.MetalMachineTemplate) errorList {
	template := field.NewPath("spec", "template")

	return append(validateTemplateMeta(t.Spec.Template.Metadata), validateMachineSpec(t.Spec.Template.Spec, template.Child("spec"))...)
}

func validateMachineSpec(s v1alpha3.MetalMachineSpec, path *field.Path) errorList {
	return append(
		validateReference(s.ServerRef, "Server", path.Child("serverRef")),
		validateReference(s.ServerClassRef, "ServerClass", path.Child("serverClassRef"))...)
}

// validateReference refuses a reference that can lead to no object of the kind. Its namespace does not matter: the kinds
// have none, and upstream's template names one.
func validateReference(reference *corev1.ObjectReference, kind string, path *field.Path) errorList {
	if reference == nil {
		return nil
	}

	var errs errorList

	if reference.Kind != "" && reference.Kind != kind {
		errs = append(errs, field.Invalid(path.Child("kind"), reference.Kind, "must be "+kind))
	}

	if reference.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "name of the "+kind))
	}

	return errs
}

// warnMachine tells what is missing in a machine that upstream accepts all the same.
func warnMachine(path string, s v1alpha3.MetalMachineSpec) []string {
	if s.ServerRef != nil || s.ServerClassRef != nil {
		return nil
	}

	return []string{path + ": neither serverClassRef nor serverRef is set: no server will ever be allocated"}
}

func validateMetalMachineStatus(m *v1alpha3.MetalMachine) errorList {
	errs := validateConditions(m.Status.Conditions)

	for i, address := range m.Status.Addresses {
		path := field.NewPath("status", "addresses").Index(i)
		if !slices.Contains(addressTypes(), string(address.Type)) {
			errs = append(errs, field.NotSupported(path.Child("type"), string(address.Type), addressTypes()))
		}

		if address.Address == "" {
			errs = append(errs, field.Required(path.Child("address"), ""))
		}

		if len(address.Address) > maxAddress {
			errs = append(errs, field.TooLong(path.Child("address"), address.Address, maxAddress))
		}
	}

	return errs
}

func validateServerBinding(b *v1alpha3.ServerBinding) errorList {
	spec := field.NewPath("spec")
	errs := validateReference(&b.Spec.MetalMachineRef, "MetalMachine", spec.Child("metalMachineRef"))

	return append(errs, validateReference(b.Spec.ServerClassRef, "ServerClass", spec.Child("serverClassRef"))...)
}

func validateTemplateMeta(m v1alpha3.TemplateMeta) errorList {
	return m.Validate(field.NewPath("spec", "template", "metadata"))
}

func validateStrategy(s v1alpha3.MetalRemediationSpec, path ...string) errorList {
	var errs errorList

	at := field.NewPath(path[0], path[1:]...)

	if kind := s.Strategy.Type; kind != "" && kind != v1alpha3.RemediationPowerCycle {
		errs = append(errs, field.NotSupported(at.Child("type"), kind, []v1alpha3.RemediationType{v1alpha3.RemediationPowerCycle}))
	}

	errs = append(errs, registry.Between(at.Child("retryLimit"), s.Strategy.RetryLimit, 0, math.MaxInt32)...)

	if timeout := s.Strategy.Timeout; timeout != nil && timeout.Duration <= 0 {
		errs = append(errs, field.Invalid(at.Child("timeout"), timeout.Duration.String(), "must be longer than nothing"))
	}

	return errs
}

// validateConditions refuses a condition that lacks a part, and two of one type: the list is a map to server-side apply.
func validateConditions(conditions metal.Conditions) errorList {
	return metal.ValidateConditions(field.NewPath("status", "conditions"), conditions)
}

func metalMachineTemplateStays(t, stored *v1alpha3.MetalMachineTemplate) errorList {
	return registry.Fixed(t, t.Spec, stored.Spec, anotherTemplate)
}

func metalClusterTemplateStays(t, stored *v1alpha3.MetalClusterTemplate) errorList {
	return registry.Fixed(t, t.Spec, stored.Spec, anotherTemplate)
}
