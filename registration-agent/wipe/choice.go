package wipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Choice chooses disks by all that is set in it, as a Server's wipe policy does. In
// texts a * stands for anything.
type Choice struct {
	// Name is the kernel's, sda or /dev/sda.
	Name    string `json:"name,omitempty"`
	Serial  string `json:"serial,omitempty"`
	WWID    string `json:"wwid,omitempty"`
	Model   string `json:"model,omitempty"`
	BusPath string `json:"busPath,omitempty"`
	// Type is nvme, ssd, hdd or sd, as the machine's inventory has it: an NVMe disk is
	// no ssd.
	Type string `json:"type,omitempty"`
	// Label is of a partition or a file system.
	Label string `json:"label,omitempty"`
	// MinSize and MaxSize are bytes; zero is no bound.
	MinSize uint64 `json:"minSize,omitempty"`
	MaxSize uint64 `json:"maxSize,omitempty"`
}

func (c Choice) validate() error {
	if c == (Choice{}) {
		return errors.New("a disk selector is empty: it would choose every disk")
	}
	for _, text := range []struct{ what, given, left string }{
		{"name", c.Name, bareName(c.Name)}, {"serial", c.Serial, strings.TrimSpace(c.Serial)}, {"wwid", c.WWID, bareWWID(c.WWID)},
	} {
		if text.given != "" && text.left == "" {
			return fmt.Errorf("the %s %q of a disk selector says nothing: it would choose every disk", text.what, text.given)
		}
	}
	if !slices.Contains([]string{"", "nvme", "ssd", "hdd", "sd"}, c.Type) {
		return fmt.Errorf("type %q of a disk selector is none of nvme, ssd, hdd, sd", c.Type)
	}
	return nil
}

// chooses tells whether a disk is meant. A disk that could not be read has no label.
func (c Choice) chooses(d disk.Disk) bool {
	return c.choosesUnread(d) && (c.Label == "" || slices.ContainsFunc(d.Labels(), func(label string) bool { return matches(c.Label, label) }))
}

// choosesUnread goes by all but the label.
func (c Choice) choosesUnread(d disk.Disk) bool {
	return matches(bareName(c.Name), d.Name) &&
		matches(strings.TrimSpace(c.Serial), d.Serial) &&
		matches(bareWWID(c.WWID), bareWWID(d.WWID)) &&
		matches(c.Model, d.Model) && matches(c.BusPath, d.BusPath) &&
		(c.Type == "" || c.Type == typeOf(d)) &&
		c.MinSize <= d.Size && (c.MaxSize == 0 || d.Size <= c.MaxSize)
}

func bareName(name string) string { return strings.TrimPrefix(name, "/dev/") }

func typeOf(d disk.Disk) string {
	switch {
	case d.Transport == disk.NVMe:
		return "nvme"
	case d.Transport == disk.MMC:
		return "sd"
	case d.Rotational:
		return "hdd"
	default:
		return "ssd"
	}
}

// String is for people.
func (c Choice) String() string {
	var parts []string
	for _, part := range []struct{ what, is string }{
		{"name", c.Name}, {"serial", c.Serial}, {"wwid", c.WWID}, {"model", c.Model},
		{"type", c.Type}, {"busPath", c.BusPath}, {"label", c.Label},
	} {
		if part.is != "" {
			parts = append(parts, fmt.Sprintf("%s %q", part.what, part.is))
		}
	}
	if c.MinSize > 0 {
		parts = append(parts, "at least "+disk.FormatSize(c.MinSize))
	}
	if c.MaxSize > 0 {
		parts = append(parts, "at most "+disk.FormatSize(c.MaxSize))
	}
	return strings.Join(parts, ", ")
}

// keeps returns why a disk is kept by a choice, or nothing. One that is chosen by its
// label, and cannot be read, may have it.
func (c Choice) keeps(d disk.Disk) string {
	switch {
	case c.chooses(d):
		return fmt.Sprintf("disks with %s are to be kept", c)
	case d.Unreadable != "" && c.Label != "" && c.choosesUnread(d):
		return fmt.Sprintf("disks with %s are to be kept, and this one cannot be read (%s)", c, d.Unreadable)
	default:
		return ""
	}
}

// several returns the indexes of all disks of a choice; none is an error.
func (c Choice) several(disks []disk.Disk) ([]int, error) {
	var found []int
	for n, d := range disks {
		if c.chooses(d) {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no disk has %s; the machine's disks are: %s", c, list(disks))
	}
	return found, nil
}
