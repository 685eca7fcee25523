package membership

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func cpu(manufacturer, product string) *v1alpha2.ComputeInformation {
	return &v1alpha2.ComputeInformation{Processors: []*v1alpha2.Processor{{Manufacturer: manufacturer, ProductName: product}}}
}

// pool are servers of several makes. The last three can be in no class.
func pool() []v1alpha2.Server {
	server := func(name, maker, processor string, labels map[string]string) v1alpha2.Server {
		return v1alpha2.Server{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Spec: v1alpha2.ServerSpec{Accepted: true, Hardware: &v1alpha2.HardwareInformation{
				System: &v1alpha2.SystemInformation{Manufacturer: maker, ProductName: "Box"}, Compute: cpu(processor, "X1"),
			}},
		}
	}

	pool := []v1alpha2.Server{
		server("d", "QEMU", "QEMU", map[string]string{"env": "test", "zone": "west"}),
		server("c", "Dell", "AMD", map[string]string{"env": "prod", "zone": "east"}),
		server("b", "Dell", "Intel", map[string]string{"env": "prod"}),
		server("a", "HP", "Intel", map[string]string{"zone": "east"}),
		{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Spec: v1alpha2.ServerSpec{Accepted: true}}, // has told nothing
		server("not accepted", "Dell", "Intel", nil),
		server("cordoned", "Dell", "Intel", nil),
	}
	pool[5].Spec.Accepted, pool[6].Spec.Cordoned = false, true

	a := pool[3].Spec.Hardware
	a.Compute.TotalCoreCount = 8
	a.Compute.Processors = append(a.Compute.Processors, &v1alpha2.Processor{Manufacturer: "Other"})
	a.Memory = &v1alpha2.MemoryInformation{TotalSize: "32 GB"}
	a.Storage = &v1alpha2.StorageInformation{Devices: []*v1alpha2.StorageDevice{{Size: 1 << 40}, {Size: 1 << 30}}}

	b := pool[2].Spec.Hardware
	b.Compute.TotalCoreCount = 16
	b.Memory = &v1alpha2.MemoryInformation{Modules: []*v1alpha2.MemoryModule{{Size: 32768}, {Size: 32768}}}

	adapters := func(of ...*v1alpha2.NetworkInterface) *v1alpha2.NetworkInformation {
		return &v1alpha2.NetworkInformation{Interfaces: of}
	}
	a.Network = adapters(&v1alpha2.NetworkInterface{Driver: "igb", Speed: 100, MaximumSpeed: 1000}, &v1alpha2.NetworkInterface{Speed: 10})
	b.Network = adapters(&v1alpha2.NetworkInterface{Driver: "atlantic", Speed: 10_000})
	pool[0].Spec.Hardware.Network = adapters(&v1alpha2.NetworkInterface{Driver: "mlx5_core", MaximumSpeed: 25_000})

	return pool
}

func hardware(filters ...v1alpha2.HardwareInformation) v1alpha2.ServerClassSpec {
	return v1alpha2.ServerClassSpec{Qualifiers: v1alpha2.Qualifiers{Hardware: filters}}
}

func labelled(selectors ...map[string]string) v1alpha2.ServerClassSpec {
	return v1alpha2.ServerClassSpec{Qualifiers: v1alpha2.Qualifiers{LabelSelectors: selectors}}
}

func selecting(labels map[string]string, expressions ...metav1.LabelSelectorRequirement) v1alpha2.ServerClassSpec {
	return v1alpha2.ServerClassSpec{Selector: metav1.LabelSelector{MatchLabels: labels, MatchExpressions: expressions}}
}

// bounds are a class's for the speed of adapters.
func bounds(least, most string) (spec v1alpha2.ServerClassSpec) {
	if least != "" {
		spec.Minimum = &v1alpha2.HardwareBounds{NICSpeed: ptr.To(resource.MustParse(least))}
	}

	if most != "" {
		spec.Maximum = &v1alpha2.HardwareBounds{NICSpeed: ptr.To(resource.MustParse(most))}
	}

	return spec
}

// TestMembers has upstream's unit-tested cases (sidero-behaviour.md §2.3), and what the appliance adds.
func TestMembers(t *testing.T) {
	intel := v1alpha2.HardwareInformation{Compute: cpu("Intel", "")}
	dell := v1alpha2.HardwareInformation{System: &v1alpha2.SystemInformation{Manufacturer: "Dell"}}

	both := hardware(intel)
	both.Selector.MatchLabels = map[string]string{"env": "prod"}

	three := labelled(map[string]string{"env": "prod"})
	three.Qualifiers.Hardware = []v1alpha2.HardwareInformation{dell}

	for name, c := range map[string]struct {
		spec v1alpha2.ServerClassSpec
		want []string
	}{
		"everything":                              {v1alpha2.ServerClassSpec{}, []string{"a", "b", "c", "d", "e"}},
		"a processor":                             {hardware(intel), []string{"a", "b"}},
		"one of two":                              {hardware(intel, v1alpha2.HardwareInformation{Compute: cpu("AMD", "")}), []string{"a", "b", "c"}},
		"a system":                                {hardware(dell), []string{"b", "c"}},
		"both in one":                             {hardware(v1alpha2.HardwareInformation{System: dell.System, Compute: cpu("Intel", "X1")}), []string{"b"}},
		"in another case":                         {hardware(v1alpha2.HardwareInformation{Compute: cpu("intel", "")}), []string{}},
		"nothing said":                            {hardware(v1alpha2.HardwareInformation{}), []string{"a", "b", "c", "d"}},
		"an empty list":                           {hardware(v1alpha2.HardwareInformation{Compute: &v1alpha2.ComputeInformation{Processors: []*v1alpha2.Processor{}}}), []string{"a", "b", "c", "d"}},
		"a list is compared by place":             {hardware(v1alpha2.HardwareInformation{Compute: cpu("Other", "")}), []string{}},
		"the second place":                        {hardware(v1alpha2.HardwareInformation{Compute: &v1alpha2.ComputeInformation{Processors: []*v1alpha2.Processor{{}, {Manufacturer: "Other"}}}}), []string{"a"}},
		"numbers are exact":                       {hardware(v1alpha2.HardwareInformation{Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 8}}), []string{"a"}},
		"what no machine has":                     {hardware(v1alpha2.HardwareInformation{Memory: &v1alpha2.MemoryInformation{TotalSize: "1 GB"}}), []string{}},
		"a label":                                 {labelled(map[string]string{"env": "prod"}), []string{"b", "c"}},
		"any label of a map is enough":            {labelled(map[string]string{"env": "test", "zone": "east"}), []string{"a", "c", "d"}},
		"any map is enough":                       {labelled(map[string]string{"env": "test"}, map[string]string{"zone": "east"}), []string{"a", "c", "d"}},
		"no such label":                           {labelled(map[string]string{"env": ""}), []string{}},
		"selector":                                {selecting(map[string]string{"env": "prod", "zone": "east"}), []string{"c"}},
		"selector that wants a label":             {selecting(nil, metav1.LabelSelectorRequirement{Key: "zone", Operator: metav1.LabelSelectorOpExists}), []string{"a", "c", "d"}},
		"selector with alternatives":              {selecting(nil, metav1.LabelSelectorRequirement{Key: "env", Operator: metav1.LabelSelectorOpIn, Values: []string{"prod", "x"}}), []string{"b", "c"}},
		"selector that excludes":                  {selecting(nil, metav1.LabelSelectorRequirement{Key: "env", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"prod"}}), []string{"a", "d", "e"}},
		"selector and hardware":                   {both, []string{"b"}},
		"labels and hardware":                     {three, []string{"b", "c"}},
		"an expression":                           {v1alpha2.ServerClassSpec{Expression: `server.spec.hardware.system.manufacturer in ["HP", "QEMU"]`}, []string{"a", "d"}},
		"an expression that never holds":          {v1alpha2.ServerClassSpec{Expression: `server.spec.nothing == 1`}, []string{}},
		"at least so many cores":                  {v1alpha2.ServerClassSpec{Minimum: &v1alpha2.HardwareBounds{Cores: ptr.To[int64](8)}}, []string{"a", "b"}},
		"between":                                 {v1alpha2.ServerClassSpec{Minimum: &v1alpha2.HardwareBounds{Cores: ptr.To[int64](8)}, Maximum: &v1alpha2.HardwareBounds{Cores: ptr.To[int64](8)}}, []string{"a"}},
		"at most":                                 {v1alpha2.ServerClassSpec{Maximum: &v1alpha2.HardwareBounds{Cores: ptr.To[int64](8)}}, []string{"a", "c", "d"}},
		"memory in words or modules":              {v1alpha2.ServerClassSpec{Minimum: &v1alpha2.HardwareBounds{Memory: ptr.To(resource.MustParse("32Gi"))}}, []string{"a", "b"}},
		"more memory":                             {v1alpha2.ServerClassSpec{Minimum: &v1alpha2.HardwareBounds{Memory: ptr.To(resource.MustParse("33Gi"))}}, []string{"b"}},
		"disks":                                   {v1alpha2.ServerClassSpec{Minimum: &v1alpha2.HardwareBounds{Disks: ptr.To[int64](2), DiskSize: ptr.To(resource.MustParse("1Ti"))}}, []string{"a"}},
		"a fast network":                          {bounds("10G", ""), []string{"b", "d"}},
		"a slow network, or one that is not told": {bounds("", "1G"), []string{"a", "c"}},
		"a network in between":                    {bounds("2500M", "10G"), []string{"b"}},
		"an expression over adapters": {v1alpha2.ServerClassSpec{
			Expression: `server.spec.hardware.network.interfaces.exists(i, i.driver == "mlx5_core" && i.maximumSpeed >= 25000)`}, []string{"d"}},
		"a larger disk": {v1alpha2.ServerClassSpec{Minimum: &v1alpha2.HardwareBounds{DiskSize: ptr.To(resource.MustParse("2Ti"))}}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := NewMatcher(c.spec)
			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(Members{Available: c.want, InUse: []string{}}, m.Members(pool())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInUse(t *testing.T) {
	servers := pool()
	servers[0].Status.InUse, servers[2].Status.InUse = true, true

	m, err := NewMatcher(v1alpha2.ServerClassSpec{})
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(Members{Available: []string{"a", "c", "e"}, InUse: []string{"b", "d"}}, m.Members(servers)); diff != "" {
		t.Error(diff)
	}
}

// TestDuplicates: a server whose machine is not known for certain is given to nobody, from the moment it is made.
func TestDuplicates(t *testing.T) {
	duplicate := v1alpha2.Conditions{{Type: v1alpha2.ConditionDuplicateIdentity, Status: "True"}}
	servers := pool()
	servers[0].Status.InUse, servers[0].Status.Conditions = true, duplicate
	servers[1].Status.Conditions = duplicate
	servers[2].Annotations = map[string]string{v1alpha2.IdentityAnnotation: v1alpha2.IdentityUndecided}
	servers[3].Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionDuplicateIdentity, Status: "False"}}

	m, err := NewMatcher(v1alpha2.ServerClassSpec{Accept: true})
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(Members{Available: []string{"a", "e"}, InUse: []string{"d"}}, m.Members(servers)); diff != "" {
		t.Error(diff)
	}

	for i, want := range []bool{false, false, false, true} {
		servers[i].Spec.Accepted = false
		if m.Accepts(&servers[i]) != want {
			t.Errorf("%s: accepted is not %t", servers[i].Name, want)
		}
	}
}

func TestClassesThatCannotBeUnderstood(t *testing.T) {
	for _, spec := range []v1alpha2.ServerClassSpec{
		{Expression: "("},
		selecting(nil, metav1.LabelSelectorRequirement{Key: "a", Operator: "Like"}),
	} {
		if _, err := NewMatcher(spec); err == nil {
			t.Errorf("%+v is understood", spec)
		}
	}
}
