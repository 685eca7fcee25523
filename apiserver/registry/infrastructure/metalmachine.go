package infrastructure

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func metalMachines() registry.Kind[*v1alpha3.MetalMachine] {
	return registry.Kind[*v1alpha3.MetalMachine]{
		Resource:       v1alpha3.GroupVersion.WithResource("metalmachines").GroupResource(),
		Singular:       "metalmachine",
		Namespaced:     true,
		Categories:     []string{category},
		New:            func() *v1alpha3.MetalMachine { return &v1alpha3.MetalMachine{} },
		NewList:        func() runtime.Object { return &v1alpha3.MetalMachineList{} },
		Older:          metalMachineVersions(),
		Spec:           func(m *v1alpha3.MetalMachine) any { return &m.Spec },
		Status:         func(m *v1alpha3.MetalMachine) any { return &m.Status },
		Normalise:      func(m *v1alpha3.MetalMachine) []string { return warnMachine("spec", m.Spec) },
		Validate:       validateMetalMachine,
		ValidateStatus: validateMetalMachineStatus,
		Columns:        metalMachineColumns(),
	}
}

func metalMachineColumns() []registry.Column[*v1alpha3.MetalMachine] {
	return []registry.Column[*v1alpha3.MetalMachine]{
		{
			Name: "Ready", Type: "string", Description: "whether a server is bound to the machine",
			Cell: func(m *v1alpha3.MetalMachine) any { return whenTrue(m.Status.Ready) },
		},
		clusterColumn[*v1alpha3.MetalMachine](1),
		{
			Name: "Machine", Type: "string", Description: "Cluster API's machine that this one belongs to", Priority: 1,
			Cell: owningMachine,
		},
		{
			Name: "Server", Type: "string", Description: "server that the machine is", Priority: 1,
			Cell: func(m *v1alpha3.MetalMachine) any { return nameOf(m.Spec.ServerRef) },
		},
		registry.Age[*v1alpha3.MetalMachine](),
	}
}

func owningMachine(m *v1alpha3.MetalMachine) any {
	for _, owner := range m.OwnerReferences {
		if owner.Kind == "Machine" {
			return registry.Text(owner.Name)
		}
	}

	return nil
}

func metalMachineTemplates() registry.Kind[*v1alpha3.MetalMachineTemplate] {
	return registry.Kind[*v1alpha3.MetalMachineTemplate]{
		Resource:   v1alpha3.GroupVersion.WithResource("metalmachinetemplates").GroupResource(),
		Singular:   "metalmachinetemplate",
		Namespaced: true,
		Categories: []string{category},
		New:        func() *v1alpha3.MetalMachineTemplate { return &v1alpha3.MetalMachineTemplate{} },
		NewList:    func() runtime.Object { return &v1alpha3.MetalMachineTemplateList{} },
		Older:      metalMachineTemplateVersions(),
		Spec:       func(t *v1alpha3.MetalMachineTemplate) any { return &t.Spec },
		Normalise: func(t *v1alpha3.MetalMachineTemplate) []string {
			return warnMachine("spec.template.spec", t.Spec.Template.Spec)
		},
		Validate:       validateMetalMachineTemplate,
		ValidateUpdate: metalMachineTemplateStays,
		Columns:        []registry.Column[*v1alpha3.MetalMachineTemplate]{registry.Age[*v1alpha3.MetalMachineTemplate]()},
	}
}

func metalMachineVersions() []registry.Spoke[*v1alpha3.MetalMachine] {
	return []registry.Spoke[*v1alpha3.MetalMachine]{
		registry.Older[*v1alpha3.MetalMachine, *v1alpha2.MetalMachine]{
			Version: v1alpha2.GroupVersion,
			New:     func() *v1alpha2.MetalMachine { return &v1alpha2.MetalMachine{} },
			NewList: func() runtime.Object { return &v1alpha2.MetalMachineList{} },
			Up: func(from *v1alpha2.MetalMachine, to *v1alpha3.MetalMachine) {
				to.Spec = machineSpecUp(from.Spec)
				to.Status.Ready = from.Status.Ready
				to.Status.FailureReason, to.Status.FailureMessage = from.Status.ErrorReason, from.Status.ErrorMessage
			},
			Down: func(from *v1alpha3.MetalMachine, to *v1alpha2.MetalMachine) {
				to.Spec = machineSpecDown(from.Spec)
				to.Status.Ready = from.Status.Ready
				to.Status.ErrorReason, to.Status.ErrorMessage = from.Status.FailureReason, from.Status.FailureMessage
			},
			Restore: func(to, from *v1alpha3.MetalMachine) {
				to.Spec.ServerClassRef = from.Spec.ServerClassRef
				to.Status.Initialization = from.Status.Initialization
				to.Status.Addresses = from.Status.Addresses
				to.Status.FailureDomain = from.Status.FailureDomain
				to.Status.Conditions = from.Status.Conditions
			},
			Moved: []registry.Move{
				{From: "status.errorReason", To: []string{"status.failureReason"}},
				{From: "status.errorMessage", To: []string{"status.failureMessage"}},
			},
		},
	}
}

func metalMachineTemplateVersions() []registry.Spoke[*v1alpha3.MetalMachineTemplate] {
	return []registry.Spoke[*v1alpha3.MetalMachineTemplate]{
		registry.Older[*v1alpha3.MetalMachineTemplate, *v1alpha2.MetalMachineTemplate]{
			Version: v1alpha2.GroupVersion,
			New:     func() *v1alpha2.MetalMachineTemplate { return &v1alpha2.MetalMachineTemplate{} },
			NewList: func() runtime.Object { return &v1alpha2.MetalMachineTemplateList{} },
			Up: func(from *v1alpha2.MetalMachineTemplate, to *v1alpha3.MetalMachineTemplate) {
				to.Spec.Template.Spec = machineSpecUp(from.Spec.Template.Spec)
			},
			Down: func(from *v1alpha3.MetalMachineTemplate, to *v1alpha2.MetalMachineTemplate) {
				to.Spec.Template.Spec = machineSpecDown(from.Spec.Template.Spec)
			},
			Restore: func(to, from *v1alpha3.MetalMachineTemplate) {
				to.Spec.Template.Metadata = from.Spec.Template.Metadata
				to.Spec.Template.Spec.ServerClassRef = from.Spec.Template.Spec.ServerClassRef
			},
		},
	}
}

func machineSpecUp(s v1alpha2.MetalMachineSpec) v1alpha3.MetalMachineSpec {
	return v1alpha3.MetalMachineSpec{ProviderID: s.ProviderID, ServerRef: s.ServerRef}
}

func machineSpecDown(s v1alpha3.MetalMachineSpec) v1alpha2.MetalMachineSpec {
	return v1alpha2.MetalMachineSpec{ProviderID: s.ProviderID, ServerRef: s.ServerRef}
}
