package membership

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Labels that Servers carry by what their machines have. They are the appliance's: what people write into them is
// overwritten.
const (
	labelPrefix       = "hardware.sidero.dev/"
	labelManufacturer = labelPrefix + "manufacturer"
	labelProduct      = labelPrefix + "product"
	labelProcessor    = labelPrefix + "processor"
	labelCores        = labelPrefix + "cores"
	labelMemory       = labelPrefix + "memory"       // in GiB, rounded
	labelDisks        = labelPrefix + "disks"        // how many
	labelDiskTypes    = labelPrefix + "disk-types"   // as in HDD-NVMe
	labelLargestDisk  = labelPrefix + "largest-disk" // in GB of the maker's, rounded down
	labelNICs         = labelPrefix + "nics"         // how many
)

// longestLabel is the length of a label's value; see Kubernetes's syntax of labels.
const longestLabel = 63

// hardwareLabels are a machine's. What it did not tell has no label.
func hardwareLabels(hardware *v1alpha2.HardwareInformation) map[string]string {
	labels := map[string]string{}
	if hardware == nil {
		return labels
	}

	text := func(name, value string) {
		if value = labelValue(value); value != "" {
			labels[name] = value
		}
	}
	number := func(name string, value int64) {
		if value > 0 {
			labels[name] = strconv.FormatInt(value, 10)
		}
	}

	if s := hardware.System; s != nil {
		text(labelManufacturer, s.Manufacturer)
		text(labelProduct, s.ProductName)
	}

	if c := hardware.Compute; c != nil {
		number(labelCores, c.TotalCoreCount)

		if len(c.Processors) > 0 && c.Processors[0] != nil {
			text(labelProcessor, c.Processors[0].ProductName)
		}
	}

	number(labelMemory, gibibytes(hardware.Memory))

	if s := hardware.Storage; s != nil {
		types, largest := disksOf(s.Devices)
		number(labelDisks, int64(len(s.Devices)))
		number(labelLargestDisk, largest/1e9)
		text(labelDiskTypes, types)
	}

	if n := hardware.Network; n != nil {
		number(labelNICs, int64(len(n.Interfaces)))
	}

	return labels
}

// disksOf sums up disks: their types in the alphabet's order, and the size of the largest.
func disksOf(disks []*v1alpha2.StorageDevice) (types string, largest int64) {
	var present []string

	for _, kind := range []string{"HDD", "NVMe", "SD", "SSD"} {
		for _, disk := range disks {
			if disk != nil && disk.Type == kind {
				present = append(present, kind)

				break
			}
		}
	}

	for _, disk := range disks {
		if disk != nil {
			largest = max(largest, disk.Size)
		}
	}

	return strings.Join(present, "-"), largest
}

// gibibytes is the machine's memory. Some firmware keeps some of a module for itself, so it is rounded.
func gibibytes(memory *v1alpha2.MemoryInformation) int64 {
	if memory == nil {
		return 0
	}

	var megabytes int64

	for _, module := range memory.Modules {
		if module != nil {
			megabytes += module.Size
		}
	}

	if megabytes > 0 {
		return (megabytes + 512) / 1024
	}

	var total int64
	if _, err := fmt.Sscanf(memory.TotalSize, "%d GB", &total); err != nil {
		return 0
	}

	return total
}

// labelValue makes a label's value of a text: what a label may not have becomes a dash.
func labelValue(text string) string {
	var value strings.Builder

	for _, r := range strings.TrimSpace(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			value.WriteRune(r)
		case !strings.HasSuffix(value.String(), "-"):
			value.WriteByte('-')
		}
	}

	short := value.String()
	if len(short) > longestLabel {
		short = short[:longestLabel]
	}

	return strings.Trim(short, "-._")
}

// Relabel puts the labels of its hardware on a server, and tells whether that changed anything. A server that has told no
// hardware keeps what it has.
func Relabel(s *v1alpha2.Server) bool {
	if s.Spec.Hardware == nil {
		return false
	}

	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}

	maps.DeleteFunc(labels, func(name, _ string) bool { return strings.HasPrefix(name, labelPrefix) })
	maps.Copy(labels, hardwareLabels(s.Spec.Hardware))

	if maps.Equal(labels, s.Labels) || len(labels) == 0 && len(s.Labels) == 0 {
		return false
	}

	s.Labels = labels

	return true
}
