package metal

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha1"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func environmentVersions() []registry.Spoke[*v1alpha2.Environment] {
	return []registry.Spoke[*v1alpha2.Environment]{
		registry.Older[*v1alpha2.Environment, *v1alpha1.Environment]{
			Version: v1alpha1.GroupVersion,
			New:     func() *v1alpha1.Environment { return &v1alpha1.Environment{} },
			NewList: func() runtime.Object { return &v1alpha1.EnvironmentList{} },
			Up: func(from *v1alpha1.Environment, to *v1alpha2.Environment) {
				to.Spec, to.Status = from.Spec, from.Status
			},
			Down: func(from *v1alpha2.Environment, to *v1alpha1.Environment) {
				to.Spec, to.Status = from.Spec, from.Status
			},
		},
	}
}

func serverVersions() []registry.Spoke[*v1alpha2.Server] {
	return []registry.Spoke[*v1alpha2.Server]{
		registry.Older[*v1alpha2.Server, *v1alpha1.Server]{
			Version: v1alpha1.GroupVersion,
			New:     func() *v1alpha1.Server { return &v1alpha1.Server{} },
			NewList: func() runtime.Object { return &v1alpha1.ServerList{} },
			Up:      serverUp,
			Down:    serverDown,
			Restore: restoreServer,
			Moved: []registry.Move{
				{From: "spec.system", To: []string{"spec.hardware.system.*"}},
				{From: "spec.cpu", To: []string{"spec.hardware.compute.processors"}}, // which has one owner as a whole
			},
		},
	}
}

func serverUp(from *v1alpha1.Server, to *v1alpha2.Server) {
	s := from.Spec
	to.Spec = v1alpha2.ServerSpec{
		EnvironmentRef: s.EnvironmentRef, Hostname: s.Hostname, BMC: s.BMC, ManagementAPI: s.ManagementAPI,
		ConfigPatches: s.ConfigPatches, Accepted: s.Accepted, Cordoned: s.Cordoned, PXEBootAlways: s.PXEBootAlways,
		BootFromDiskMethod: s.BootFromDiskMethod, PXEMode: s.PXEMode,
	}
	to.Status = from.Status

	if s.SystemInformation != nil || s.CPU != nil {
		to.Spec.Hardware = &v1alpha2.HardwareInformation{}
	}

	if s.SystemInformation != nil {
		to.Spec.Hardware.System = systemUp(*s.SystemInformation)
	}

	if s.CPU != nil {
		to.Spec.Hardware.Compute = cpuUp(*s.CPU)
	}
}

func serverDown(from *v1alpha2.Server, to *v1alpha1.Server) {
	s := from.Spec
	to.Spec = v1alpha1.ServerSpec{
		EnvironmentRef: s.EnvironmentRef, Hostname: s.Hostname, BMC: s.BMC, ManagementAPI: s.ManagementAPI,
		ConfigPatches: s.ConfigPatches, Accepted: s.Accepted, Cordoned: s.Cordoned, PXEBootAlways: s.PXEBootAlways,
		BootFromDiskMethod: s.BootFromDiskMethod, PXEMode: s.PXEMode,
	}
	to.Status = from.Status

	if system := systemDown(s.Hardware); system != (v1alpha1.SystemInformation{}) {
		to.Spec.SystemInformation = &system
	}

	if cpu := cpuDown(s.Hardware); cpu != (v1alpha1.CPUInformation{}) {
		to.Spec.CPU = &cpu
	}
}

// restoreServer gives a Server the parts that v1alpha1 has no words for: most of the hardware, strategic patches, and
// what upstream has not.
func restoreServer(to, from *v1alpha2.Server) {
	to.Spec.StrategicPatches = from.Spec.StrategicPatches
	to.Spec.Power, to.Spec.Wipe = from.Spec.Power, from.Spec.Wipe

	if toldAll(from.Spec.Hardware) {
		return
	}

	if to.Spec.Hardware == nil {
		to.Spec.Hardware = &v1alpha2.HardwareInformation{}
	}

	hardware := to.Spec.Hardware
	hardware.Memory, hardware.Storage, hardware.Network = from.Spec.Hardware.Memory, from.Spec.Hardware.Storage, from.Spec.Hardware.Network

	restoreSystem(hardware, from.Spec.Hardware.System)
	restoreCompute(hardware, from.Spec.Hardware.Compute)
}

// toldAll tells whether v1alpha1 says all of a server's hardware.
func toldAll(hardware *v1alpha2.HardwareInformation) bool {
	var (
		down v1alpha1.Server
		up   v1alpha2.Server
	)

	serverDown(&v1alpha2.Server{Spec: v1alpha2.ServerSpec{Hardware: hardware}}, &down)
	serverUp(&down, &up)

	return apiequality.Semantic.DeepEqual(up.Spec.Hardware, hardware)
}

func restoreSystem(to *v1alpha2.HardwareInformation, from *v1alpha2.SystemInformation) {
	if from == nil {
		return
	}

	if to.System == nil {
		to.System = &v1alpha2.SystemInformation{}
	}

	to.System.UUID = from.UUID
}

func restoreCompute(to *v1alpha2.HardwareInformation, from *v1alpha2.ComputeInformation) {
	if from == nil {
		return
	}

	if to.Compute == nil {
		to.Compute = &v1alpha2.ComputeInformation{}
	}

	to.Compute.TotalCoreCount, to.Compute.TotalThreadCount = from.TotalCoreCount, from.TotalThreadCount
	to.Compute.ProcessorCount, to.Compute.Architecture = from.ProcessorCount, from.Architecture

	if len(from.Processors) == 0 {
		return
	}

	said := cpuDown(to)
	if from.Processors[0] == nil && said == (v1alpha1.CPUInformation{}) {
		to.Compute.Processors = from.Processors

		return
	}

	first := v1alpha2.Processor{}
	if p := from.Processors[0]; p != nil {
		first = *p
	}

	first.Manufacturer, first.ProductName = said.Manufacturer, said.Version
	to.Compute.Processors = append([]*v1alpha2.Processor{&first}, from.Processors[1:]...)
}

func systemUp(s v1alpha1.SystemInformation) *v1alpha2.SystemInformation {
	return &v1alpha2.SystemInformation{
		Manufacturer: s.Manufacturer, ProductName: s.ProductName, Version: s.Version,
		SerialNumber: s.SerialNumber, SKUNumber: s.SKUNumber, Family: s.Family,
	}
}

func systemDown(hardware *v1alpha2.HardwareInformation) v1alpha1.SystemInformation {
	if hardware == nil || hardware.System == nil {
		return v1alpha1.SystemInformation{}
	}

	s := hardware.System

	return v1alpha1.SystemInformation{
		Manufacturer: s.Manufacturer, ProductName: s.ProductName, Version: s.Version,
		SerialNumber: s.SerialNumber, SKUNumber: s.SKUNumber, Family: s.Family,
	}
}

func cpuUp(cpu v1alpha1.CPUInformation) *v1alpha2.ComputeInformation {
	return &v1alpha2.ComputeInformation{
		Processors: []*v1alpha2.Processor{{Manufacturer: cpu.Manufacturer, ProductName: cpu.Version}},
	}
}

func cpuDown(hardware *v1alpha2.HardwareInformation) v1alpha1.CPUInformation {
	if hardware == nil || hardware.Compute == nil || len(hardware.Compute.Processors) == 0 || hardware.Compute.Processors[0] == nil {
		return v1alpha1.CPUInformation{}
	}

	first := hardware.Compute.Processors[0]

	return v1alpha1.CPUInformation{Manufacturer: first.Manufacturer, Version: first.ProductName}
}
