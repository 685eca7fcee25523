package metal

import (
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha1"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// mostHardware bounds the entries of a class's hardware, which are all combinations of v1alpha1's two lists.
const mostHardware = 1000

func serverClassVersions() []registry.Spoke[*v1alpha2.ServerClass] {
	return []registry.Spoke[*v1alpha2.ServerClass]{
		registry.Older[*v1alpha2.ServerClass, *v1alpha1.ServerClass]{
			Version: v1alpha1.GroupVersion,
			New:     func() *v1alpha1.ServerClass { return &v1alpha1.ServerClass{} },
			NewList: func() runtime.Object { return &v1alpha1.ServerClassList{} },
			Up:      serverClassUp,
			Down:    serverClassDown,
			Restore: restoreServerClass,
			Hide:    hideServerClass,
			Moved: []registry.Move{
				{From: "spec.qualifiers.cpu", To: []string{"spec.qualifiers.hardware"}},
				{From: "spec.qualifiers.systemInformation", To: []string{"spec.qualifiers.hardware"}},
			},
		},
	}
}

func serverClassUp(from *v1alpha1.ServerClass, to *v1alpha2.ServerClass) {
	s := from.Spec
	to.Spec = v1alpha2.ServerClassSpec{
		EnvironmentRef: s.EnvironmentRef, Selector: s.Selector, ConfigPatches: s.ConfigPatches, BootFromDiskMethod: s.BootFromDiskMethod,
		Qualifiers: v1alpha2.Qualifiers{
			Hardware:       hardwareOf(s.Qualifiers.SystemInformation, s.Qualifiers.CPU),
			LabelSelectors: s.Qualifiers.LabelSelectors,
		},
	}
	to.Status = from.Status
}

func serverClassDown(from *v1alpha2.ServerClass, to *v1alpha1.ServerClass) {
	s := from.Spec
	split := splitHardware(s.Qualifiers.Hardware)
	to.Spec = v1alpha1.ServerClassSpec{
		EnvironmentRef: s.EnvironmentRef, Selector: s.Selector, ConfigPatches: s.ConfigPatches, BootFromDiskMethod: s.BootFromDiskMethod,
		Qualifiers: v1alpha1.Qualifiers{
			SystemInformation: split.systems, CPU: split.cpus, LabelSelectors: s.Qualifiers.LabelSelectors,
		},
	}
	to.Status = from.Status
}

// hardwareOf combines the two lists of v1alpha1, where a server must match an entry of each, into the one of v1alpha2,
// where it must match one entry. Upstream puts one list behind the other, so that matching either is enough.
func hardwareOf(systems []v1alpha1.SystemInformation, cpus []v1alpha1.CPUInformation) []v1alpha2.HardwareInformation {
	if len(systems)*max(len(cpus), 1) > mostHardware || len(cpus) > mostHardware {
		return make([]v1alpha2.HardwareInformation, mostHardware+1) // so that it is refused; see validateServerClass
	}

	var hardware []v1alpha2.HardwareInformation

	switch {
	case len(cpus) == 0:
		for _, system := range systems {
			hardware = append(hardware, v1alpha2.HardwareInformation{System: systemUp(system)})
		}
	case len(systems) == 0:
		for _, cpu := range cpus {
			hardware = append(hardware, v1alpha2.HardwareInformation{Compute: cpuUp(cpu)})
		}
	default:
		for _, system := range systems {
			for _, cpu := range cpus {
				hardware = append(hardware, v1alpha2.HardwareInformation{System: systemUp(system), Compute: cpuUp(cpu)})
			}
		}
	}

	return hardware
}

// split is what v1alpha1 can say of a list of hardware.
type split struct {
	systems []v1alpha1.SystemInformation
	cpus    []v1alpha1.CPUInformation
	// system and cpu are for each entry the place of its part in the lists above, or -1.
	system, cpu []int
}

func splitHardware(hardware []v1alpha2.HardwareInformation) split {
	var s split

	for i := range hardware {
		system, cpu := -1, -1
		if part := systemDown(&hardware[i]); part != (v1alpha1.SystemInformation{}) {
			s.systems, system = placed(s.systems, part)
		}

		if part := cpuDown(&hardware[i]); part != (v1alpha1.CPUInformation{}) {
			s.cpus, cpu = placed(s.cpus, part)
		}

		s.system, s.cpu = append(s.system, system), append(s.cpu, cpu)
	}

	return s
}

// placed is a list with an element, and the element's place in it.
func placed[T comparable](list []T, element T) ([]T, int) {
	if i := slices.Index(list, element); i >= 0 {
		return list, i
	}

	return append(list, element), len(list)
}

// told tells whether v1alpha1 says all that a list of hardware says.
func told(hardware []v1alpha2.HardwareInformation) bool {
	s := splitHardware(hardware)
	if len(s.systems) > 0 && len(s.cpus) > 0 && len(s.systems)*len(s.cpus) != len(hardware) {
		return false
	}

	return apiequality.Semantic.DeepEqual(hardwareOf(s.systems, s.cpus), hardware)
}

func hideServerClass(from *v1alpha2.ServerClass) *v1alpha2.ServerClass {
	hidden := &v1alpha2.ServerClass{}
	copyHidden(hidden, from)

	if !told(from.Spec.Qualifiers.Hardware) {
		hidden.Spec.Qualifiers.Hardware = from.Spec.Qualifiers.Hardware
	}

	return hidden
}

// copyHidden copies the fields that v1alpha1 has not.
func copyHidden(to, from *v1alpha2.ServerClass) {
	to.Spec.StrategicPatches, to.Spec.Wipe = from.Spec.StrategicPatches, from.Spec.Wipe
	to.Spec.Expression, to.Spec.Minimum, to.Spec.Maximum = from.Spec.Expression, from.Spec.Minimum, from.Spec.Maximum
	to.Spec.Accept = from.Spec.Accept
}

// restoreServerClass gives a class the parts that v1alpha1 has no words for. If one of its lists became longer or shorter,
// nobody can tell which entry of the hardware is meant, and the lists alone count.
func restoreServerClass(to, from *v1alpha2.ServerClass) {
	copyHidden(to, from)

	hardware := from.Spec.Qualifiers.Hardware
	if told(hardware) {
		return
	}

	written, stored := splitHardware(to.Spec.Qualifiers.Hardware), splitHardware(hardware)
	if len(written.systems) != len(stored.systems) || len(written.cpus) != len(stored.cpus) {
		return
	}

	for i := range hardware {
		if at := stored.system[i]; at >= 0 {
			uuid := hardware[i].System.UUID
			hardware[i].System = systemUp(written.systems[at])
			hardware[i].System.UUID = uuid
		}

		if at := stored.cpu[i]; at >= 0 {
			first := *hardware[i].Compute.Processors[0]
			first.Manufacturer, first.ProductName = written.cpus[at].Manufacturer, written.cpus[at].Version
			hardware[i].Compute.Processors[0] = &first
		}
	}

	to.Spec.Qualifiers.Hardware = hardware
}
