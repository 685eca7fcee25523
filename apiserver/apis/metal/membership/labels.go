package membership

import (
	"fmt"
	"maps"
	"slices"
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
	labelArchitecture = labelPrefix + "architecture"
	labelProcessor    = labelPrefix + "processor"
	labelCores        = labelPrefix + "cores"
	labelMemory       = labelPrefix + "memory"       // in GiB, rounded
	labelDisks        = labelPrefix + "disks"        // how many
	labelDiskTypes    = labelPrefix + "disk-types"   // as in HDD-NVMe
	labelLargestDisk  = labelPrefix + "largest-disk" // in GB of the maker's, rounded down
	labelAllDisks     = labelPrefix + "all-disks"    // their sizes together, likewise
	labelNICs         = labelPrefix + "nics"         // how many
	labelNICSpeed     = labelPrefix + "nic-speed"    // what the fastest supports, in Mb/s
)

// labelCounts has a label for each type of disk: how many there are.
func labelCounts() map[string]string {
	return map[string]string{
		"HDD": labelPrefix + "hdd-disks", "NVMe": labelPrefix + "nvme-disks", "SD": labelPrefix + "sd-disks", "SSD": labelPrefix + "ssd-disks",
	}
}

// longestLabel is the length of a label's value; see Kubernetes's syntax of labels.
const longestLabel = 63

// labelSet is a machine's. What is empty or zero has none.
type labelSet map[string]string

func (l labelSet) text(name, value string) {
	if value = labelValue(value); value != "" {
		l[name] = value
	}
}

func (l labelSet) number(name string, value int64) {
	if value > 0 {
		l[name] = strconv.FormatInt(value, 10)
	}
}

// hardwareLabels are a machine's. What it did not tell has no label.
func hardwareLabels(hardware *v1alpha2.HardwareInformation) labelSet {
	l := labelSet{}
	if hardware == nil {
		return l
	}

	if s := hardware.System; s != nil {
		l.text(labelManufacturer, s.Manufacturer)
		l.text(labelProduct, s.ProductName)
	}

	if c := hardware.Compute; c != nil {
		l.text(labelArchitecture, c.Architecture)
		l.number(labelCores, c.TotalCoreCount)

		if len(c.Processors) > 0 && c.Processors[0] != nil {
			l.text(labelProcessor, c.Processors[0].ProductName)
		}
	}

	l.number(labelMemory, gibibytes(hardware.Memory))

	if s := hardware.Storage; s != nil {
		l.disks(s.Devices)
	}

	if n := hardware.Network; n != nil {
		l.number(labelNICs, int64(len(n.Interfaces)))
		l.number(labelNICSpeed, megabits(n))
	}

	return l
}

// disks sums up disks: how many of which type there are, and their sizes.
func (l labelSet) disks(disks []*v1alpha2.StorageDevice) {
	var largest, all int64

	counts := map[string]int64{}

	for _, disk := range disks {
		if disk != nil {
			counts[disk.Type]++
			largest = max(largest, disk.Size)
			all += disk.Size / gigabyte // before they are added up: their bytes can be more than the number has room for
		}
	}

	var types []string

	for kind, label := range labelCounts() {
		l.number(label, counts[kind])

		if counts[kind] > 0 {
			types = append(types, kind)
		}
	}

	slices.Sort(types)

	l.text(labelDiskTypes, strings.Join(types, "-"))
	l.number(labelDisks, int64(len(disks)))
	l.number(labelLargestDisk, largest/gigabyte)
	l.number(labelAllDisks, all)
}

// gigabyte is the disk makers'.
const gigabyte = 1e9

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

	all := maps.Clone(s.Labels)
	if all == nil {
		all = map[string]string{}
	}

	maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, labelPrefix) })
	maps.Copy(all, hardwareLabels(s.Spec.Hardware))

	if maps.Equal(all, s.Labels) || len(all) == 0 && len(s.Labels) == 0 {
		return false
	}

	s.Labels = all

	return true
}
