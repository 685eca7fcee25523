package systemdisk

import (
	"errors"
	"fmt"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/block"
	"github.com/siderolabs/talos/pkg/machinery/cel/celenv"
	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// choose finds the disk that a machine configuration names for Talos, by its path or by a selector. One that names none gets the
// first.
func choose(disks []disk.Disk, configuration []byte) (disk.Disk, error) {
	disks = slices.DeleteFunc(slices.Clone(disks), func(d disk.Disk) bool { return d.ReadOnly || d.RemovableMedium() })
	if len(disks) == 0 {
		return disk.Disk{}, errors.New("choose disk: the machine has none that can be written to")
	}

	loaded, err := configloader.NewFromBytes(configuration)
	if err != nil {
		return disk.Disk{}, fmt.Errorf("choose disk: %w", err)
	}

	if loaded.Machine() == nil || loaded.Machine().Install() == nil {
		return disks[0], nil
	}

	install := loaded.Machine().Install()

	matches, err := matcher(install)
	if err != nil {
		return disk.Disk{}, fmt.Errorf("choose disk: %w", err)
	}

	for _, candidate := range disks {
		matched, err := matches(candidate)
		if err != nil {
			return disk.Disk{}, fmt.Errorf("choose disk: %w", err)
		}

		if matched {
			return candidate, nil
		}
	}

	return disk.Disk{}, fmt.Errorf("choose disk: none is the one of machine.install (disk %q, or its diskSelector): there are %v", install.Disk(), disks)
}

// matcher is what machine.install says about the disk; the selector goes before the path, as in Talos.
func matcher(install config.Install) (func(disk.Disk) (bool, error), error) {
	selector, err := install.DiskMatchExpression()

	switch {
	case err != nil:
		return nil, err
	case selector != nil:
		return func(d disk.Disk) (bool, error) {
			return selector.EvalBool(celenv.DiskLocator(), map[string]any{"disk": spec(d), "system_disk": false})
		}, nil
	case install.Disk() == "":
		return func(disk.Disk) (bool, error) { return true, nil }, nil
	default:
		return func(d disk.Disk) (bool, error) { return slices.Contains(paths(d), install.Disk()), nil }, nil
	}
}

// paths are all device nodes that a disk has on Talos.
func paths(d disk.Disk) []string {
	list := []string{d.Path}
	for _, name := range d.ByID {
		list = append(list, "/dev/disk/by-id/"+name)
	}

	for _, name := range d.ByPath {
		list = append(list, "/dev/disk/by-path/"+name)
	}

	return list
}

// spec is the disk in the words of Talos's selectors.
func spec(d disk.Disk) *block.DiskSpec {
	return &block.DiskSpec{
		Size: d.Size, Model: d.Model, Serial: d.Serial, Wwid: d.WWID, Uuid: d.UUID, Modalias: d.Modalias,
		BusPath: d.BusPath, Transport: string(d.Transport), Rotational: d.Rotational, Readonly: d.ReadOnly,
		DevPath: d.Path, Symlinks: paths(d)[1:],
	}
}
