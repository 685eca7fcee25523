package membership

import (
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func TestHardwareLabels(t *testing.T) {
	for name, c := range map[string]struct {
		hardware *v1alpha2.HardwareInformation
		want     map[string]string
	}{
		"nothing told":  {nil, map[string]string{}},
		"nothing in it": {&v1alpha2.HardwareInformation{}, map[string]string{}},
		"a server": {
			&v1alpha2.HardwareInformation{
				System: &v1alpha2.SystemInformation{Manufacturer: " Dell Inc. ", ProductName: "PowerEdge R640 (SKU=NotProvided)"},
				Compute: &v1alpha2.ComputeInformation{Architecture: "amd64", TotalCoreCount: 32, Processors: []*v1alpha2.Processor{
					{ProductName: "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz"}, {ProductName: "another"},
				}},
				Memory: &v1alpha2.MemoryInformation{Modules: []*v1alpha2.MemoryModule{{Size: 32768}, {Size: 32600}, nil}},
				Storage: &v1alpha2.StorageInformation{Devices: []*v1alpha2.StorageDevice{
					{Type: "SSD", Size: 480e9}, {Type: "NVMe", Size: 3_840_755_982_336}, {Type: "SSD"}, nil, {Type: "Unknown"},
				}},
				Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{{Speed: 1000, MaximumSpeed: 10_000}, {Speed: 1000}, nil}},
			},
			map[string]string{
				labelManufacturer: "Dell-Inc", labelProduct: "PowerEdge-R640-SKU-NotProvided", labelProcessor: "Intel-R-Xeon-R-Gold-6130-CPU-2.10GHz",
				labelCores: "32", labelMemory: "64", labelDisks: "5", labelDiskTypes: "NVMe-SSD", labelLargestDisk: "3840", labelAllDisks: "4320", labelNICs: "3",
				labelArchitecture: "amd64", labelNICSpeed: "10000", labelPrefix + "nvme-disks": "1", labelPrefix + "ssd-disks": "2",
			},
		},
		"memory in words":    {&v1alpha2.HardwareInformation{Memory: &v1alpha2.MemoryInformation{TotalSize: "32 GB"}}, map[string]string{labelMemory: "32"}},
		"memory in no words": {&v1alpha2.HardwareInformation{Memory: &v1alpha2.MemoryInformation{TotalSize: "much"}}, map[string]string{}},
		"the largest numbers": {
			&v1alpha2.HardwareInformation{
				Compute: &v1alpha2.ComputeInformation{TotalCoreCount: math.MaxInt64},
				Storage: &v1alpha2.StorageInformation{Devices: []*v1alpha2.StorageDevice{{Size: math.MaxInt64}}},
			},
			map[string]string{labelCores: "9223372036854775807", labelDisks: "1", labelLargestDisk: "9223372036", labelAllDisks: "9223372036"},
		},
		"a virtual adapter": {&v1alpha2.HardwareInformation{Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{{}}}}, map[string]string{labelNICs: "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(labelSet(c.want), hardwareLabels(c.hardware)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDocumentOfLabels holds the table of docs/hardware.md to the code.
func TestDocumentOfLabels(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/hardware.md")
	if err != nil {
		t.Fatal(err)
	}

	_, table, _ := strings.Cut(string(text), "| label, after `"+labelPrefix+"` |")
	table, _, _ = strings.Cut(table, "\n\n")

	var told []string

	for line := range strings.Lines(table) {
		if _, row, ok := strings.Cut(line, "| "); ok {
			first, _, _ := strings.Cut(row, " |")
			for _, name := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(first, -1) {
				told = append(told, labelPrefix+name[1])
			}
		}
	}

	disks := make([]*v1alpha2.StorageDevice, 0, 4)
	for kind := range labelCounts() {
		disks = append(disks, &v1alpha2.StorageDevice{Type: kind, Size: 1e12})
	}

	got := slices.Collect(maps.Keys(hardwareLabels(&v1alpha2.HardwareInformation{
		System:  &v1alpha2.SystemInformation{Manufacturer: "a", ProductName: "b"},
		Compute: &v1alpha2.ComputeInformation{Architecture: "c", TotalCoreCount: 1, Processors: []*v1alpha2.Processor{{ProductName: "d"}}},
		Memory:  &v1alpha2.MemoryInformation{Modules: []*v1alpha2.MemoryModule{{Size: 1024}}},
		Storage: &v1alpha2.StorageInformation{Devices: disks},
		Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{{Speed: 1}}},
	})))

	slices.Sort(told)
	slices.Sort(got)

	if diff := cmp.Diff(told, got); diff != "" {
		t.Errorf("docs/hardware.md and the code differ: %s", diff)
	}
}

func TestLabelValue(t *testing.T) {
	for text, want := range map[string]string{
		"Dell Inc.":                      "Dell-Inc",
		"ASUSTeK COMPUTER INC.":          "ASUSTeK-COMPUTER-INC",
		"Micro-Star International (MSI)": "Micro-Star-International-MSI",
		"To be filled by O.E.M.":         "To-be-filled-by-O.E.M",
		"  -- $(hostname) --  ":          "hostname",
		"VMware, Inc.":                   "VMware-Inc",
		"株式会社":                           "",
		"Fujitsu™ 富士通 Ltd":               "Fujitsu-Ltd",
		"a/b:c=d,e;f":                    "a-b-c-d-e-f",
		"_._":                            "",
		"\x00\x00QEMU\x00":               "QEMU",
		"\xff\xfe":                       "",
		strings.Repeat("a", 62) + "--b":  strings.Repeat("a", 62),
		strings.Repeat("é", 100) + "Z":   "Z",
	} {
		if got := labelValue(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestRelabel(t *testing.T) {
	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"rack": "r1", labelCores: "a person's", labelPrefix + "old": "1"}}}

	if Relabel(s) || s.Labels[labelCores] != "a person's" {
		t.Error("labels change without hardware")
	}

	s.Spec.Hardware = &v1alpha2.HardwareInformation{Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 4}}
	if !Relabel(s) {
		t.Error("nothing changed")
	}

	if diff := cmp.Diff(map[string]string{"rack": "r1", labelCores: "4"}, s.Labels); diff != "" {
		t.Error(diff)
	}

	if Relabel(s) {
		t.Error("changed again")
	}
}

func FuzzLabelValue(f *testing.F) {
	for _, seed := range []string{"Dell Inc.", "", "...", strings.Repeat("ä", 100), strings.Repeat("a.", 100), "\xff\x00"} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, text string) {
		if problems := validation.IsValidLabelValue(labelValue(text)); len(problems) > 0 {
			t.Errorf("%q becomes %q: %v", text, labelValue(text), problems)
		}
	})
}
