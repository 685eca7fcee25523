package wipe

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// parsePath makes a predicate of a device path.
func parsePath(device string) (predicate, error) {
	dir, name := path.Split(path.Clean(device))
	switch {
	case name == "":
		break
	case dir == "/dev/":
		return hasName(name), nil
	case dir == "/dev/disk/by-id/":
		return hasID(name), nil
	case dir == "/dev/disk/by-path/":
		return func(d disk.Disk) bool { return slices.Contains(d.ByPath, name) }, nil
	}
	return nil, fmt.Errorf("install.disk %q is no path of a disk: write /dev/NAME, /dev/disk/by-id/ID or /dev/disk/by-path/PATH", device)
}

func hasName(name string) predicate {
	return func(d disk.Disk) bool { return d.Name == strings.TrimPrefix(name, "/dev/") }
}

func hasID(id string) predicate {
	return func(d disk.Disk) bool { return slices.Contains(d.ByID, strings.TrimPrefix(id, "/dev/disk/by-id/")) }
}

func hasSerial(serial string) predicate {
	return func(d disk.Disk) bool { return d.Serial != "" && d.Serial == strings.TrimSpace(serial) }
}

func hasWWID(wwid string) predicate {
	return func(d disk.Disk) bool { return d.WWID != "" && bareWWID(d.WWID) == bareWWID(wwid) }
}

func hasLabel(label string) predicate {
	return func(d disk.Disk) bool { return slices.Contains(d.Labels(), label) }
}

// bareWWID makes one of the spellings of a world-wide name: naa.5000… is the kernel's,
// wwn-0x5000… is udev's, 0x5000… lsblk's.
func bareWWID(wwid string) string {
	bare := strings.ToLower(strings.Join(strings.Fields(wwid), " "))
	for _, prefix := range []string{"wwn-", "naa.", "eui.", "uuid.", "0x"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	return bare
}

// only returns the index of the one disk that is meant; several or none is an error
// that lists them.
func only(disks []disk.Disk, what string, meant predicate) (int, error) {
	var found []int
	for n, d := range disks {
		if meant(d) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return 0, fmt.Errorf("no disk has %s; the machine's disks are: %s", what, list(disks))
	default:
		several := make([]disk.Disk, 0, len(found))
		for _, n := range found {
			several = append(several, disks[n])
		}
		return 0, fmt.Errorf("%d disks have %s, one is wanted: %s", len(found), what, list(several))
	}
}

func list(disks []disk.Disk) string {
	if len(disks) == 0 {
		return "none"
	}
	lines := make([]string, 0, len(disks))
	for _, d := range disks {
		lines = append(lines, "["+d.String()+"]")
	}
	return strings.Join(lines, " ")
}

// chosen returns, for each disk that the policy's scope covers by name, why.
func (p Policy) chosen(disks []disk.Disk) (map[int]string, error) {
	switch p.Scope {
	case InstallDisk:
		n, err := p.installDisk(disks)
		if err != nil {
			return nil, err
		}
		return map[int]string{n: "it is the install disk"}, nil
	case Selected:
		return p.Select.chosen(disks)
	default:
		return nil, nil
	}
}

func (p Policy) installDisk(disks []disk.Disk) (int, error) {
	if choice := p.Install.Choice; choice != nil {
		return only(disks, choice.String(), choice.chooses)
	}
	if p.Install.Selector == nil {
		meant, err := parsePath(p.Install.Disk)
		if err != nil {
			return 0, err
		}
		return only(disks, "the path "+p.Install.Disk+" of install.disk", meant)
	}
	meant, err := p.Install.Selector.compile()
	if err != nil {
		return 0, err
	}
	return only(disks, "all that install.diskSelector asks for", meant)
}

func (s Selection) chosen(disks []disk.Disk) (map[int]string, error) {
	chosen := map[int]string{}
	var wrong []error
	for _, list := range []struct {
		what    string
		entries []string
		has     func(string) predicate
	}{
		{"serial number", s.Serials, hasSerial},
		{"WWID", s.WWIDs, hasWWID},
		{"name", s.Names, hasName},
		{"id", s.IDs, hasID},
		{"label", s.Labels, hasLabel},
	} {
		for _, entry := range list.entries {
			what := fmt.Sprintf("the %s %q", list.what, entry)
			n, err := only(disks, what, list.has(entry))
			if err != nil {
				wrong = append(wrong, err)
				continue
			}
			if chosen[n] == "" {
				chosen[n] = "it is selected by " + what
			}
		}
	}
	for _, choice := range s.Choices {
		found, err := choice.several(disks)
		wrong = append(wrong, err)
		for _, n := range found {
			if chosen[n] == "" {
				chosen[n] = "it is selected by " + choice.String()
			}
		}
	}
	return chosen, errors.Join(wrong...)
}
