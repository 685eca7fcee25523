package systemdisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// Config says what there is to work with.
type Config struct {
	// Sys and Proc are the roots of sysfs and procfs.
	Sys, Proc fs.FS
	// Boot is the folder of what makes a disk bootable. It is missing when the node itself was started from its disk.
	Boot string
	// Root is where the EPHEMERAL partition belongs.
	Root string
	Log  *slog.Logger
}

// Disk is the system disk. It needs the programs sfdisk, mke2fs and mkfs.vfat.
type Disk struct{ Config }

var _ node.State = Disk{}

// Files on the partitions EFI and STATE.
const (
	releaseFile       = "installation.json"
	configurationFile = "config.yaml"
)

// Load implements node.State.
func (d Disk) Load() (*node.Installation, error) {
	disk, err := d.find()
	if disk == nil || err != nil {
		return nil, err
	}

	var i *node.Installation

	err = disk.mounted(efiPartition, func(dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, releaseFile))
		if err != nil {
			return err
		}

		return json.Unmarshal(text, &i)
	})
	// Both come last in an installation: what lacks them was cut short.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFileSystem) {
		d.Log.Warn("the installation on the disk is not complete", "disk", disk.device, "reason", err.Error())

		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("load installation: %w", err)
	}

	err = disk.mounted(node.StatePartition, func(dir string) (err error) {
		i.Configuration, err = os.ReadFile(filepath.Join(dir, configurationFile))

		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load installation: %w", err)
	}

	return i, nil
}

// Install implements node.State.
func (d Disk) Install(i node.Installation) error {
	disk, err := d.prepared(i.Configuration)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}

	err = disk.mounted(node.StatePartition, func(dir string) error {
		return replace(filepath.Join(dir, configurationFile), i.Configuration)
	})
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}

	i.Configuration = nil

	text, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}

	err = disk.mounted(efiPartition, func(dir string) error {
		return errors.Join(replace(filepath.Join(dir, grubFile), []byte(grubConfiguration(i.Args))), replace(filepath.Join(dir, releaseFile), text))
	})
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}

	return flush(disk.device)
}

// prepared is the disk with its partitions, file systems and boot loader: that of the installation there is, or the one that the
// configuration asks for, which loses what is on it.
func (d Disk) prepared(configuration []byte) (*partitions, error) {
	earlier, err := d.Load()
	if err != nil {
		return nil, err
	}

	disk, err := d.find()
	if err == nil && earlier == nil {
		disk, err = d.partition(configuration)
	}

	if err != nil {
		return nil, err
	}

	if _, err := os.Stat(d.Boot); errors.Is(err, fs.ErrNotExist) && earlier != nil {
		return disk, nil // the boot files there are brought this node up
	}

	return disk, d.makeBootable(disk)
}

// Wipe implements node.State.
func (d Disk) Wipe(labels ...string) error {
	disk, err := d.find()
	if err != nil {
		return fmt.Errorf("wipe: %w", err)
	}

	if slices.Contains(labels, node.EphemeralPartition) || len(labels) == 0 {
		err = empty(d.Root)
	}

	if disk != nil && slices.Contains(labels, node.StatePartition) {
		err = errors.Join(err, disk.format(node.StatePartition), flush(disk.device))
	}

	if disk != nil && len(labels) == 0 {
		// Something may still be open there, so that it stays mounted for a while.
		_ = unix.Unmount(d.Root, unix.MNT_DETACH)
		err = errors.Join(err, blank(disk.device))
	}

	if err != nil {
		return fmt.Errorf("wipe: %w", err)
	}

	return nil
}

// empty removes what is in a folder, and leaves the folder.
func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, entry.Name())))
	}

	return err
}

// Mount puts the EPHEMERAL partition of what is installed in place. Without an installation Root is a folder in memory.
func (d Disk) Mount() (installed bool, err error) {
	if err := os.MkdirAll(d.Root, 0o700); err != nil {
		return false, fmt.Errorf("mount %s: %w", d.Root, err)
	}

	i, err := d.Load()
	if i == nil || err != nil {
		return false, err
	}

	disk, err := d.find()
	if disk == nil || err != nil {
		return false, err
	}

	return true, disk.mount(node.EphemeralPartition, d.Root)
}

// Unmount takes it away again, before the machine restarts.
func (d Disk) Unmount() error {
	unix.Sync()

	if err := unix.Unmount(d.Root, 0); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: nothing is mounted there
		return fmt.Errorf("unmount %s: %w", d.Root, err)
	}

	return nil
}
