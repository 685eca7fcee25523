package systemdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Labels of the partitions that package node does not name.
const (
	biosPartition = "BIOS"
	efiPartition  = "EFI"
)

// Where GRUB is told to look when it is made.
const (
	// CoreSector is the first of the BIOS partition, in sectors of 512 bytes.
	CoreSector = 2048
	// EFIPartition is the number of the partition EFI.
	EFIPartition = 2
)

// table is the partition table for sfdisk. The types are those of the UEFI specification, of GRUB, and of Linux.
const table = `label: gpt
start=1MiB, size=1MiB, name=` + biosPartition + `, type=21686148-6449-6E6F-744E-656564454649
size=256MiB, name=` + efiPartition + `, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
size=64MiB, name=` + node.StatePartition + `, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
name=` + node.EphemeralPartition + `, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
`

// partitions are those of a system disk.
type partitions struct {
	// device is the node of the whole disk.
	device string
	// nodes are those of the partitions, by label.
	nodes map[string]string
}

// find looks for the first disk that has all partitions; nil is none.
func (d Disk) find() (*partitions, error) {
	disks, err := disk.List(d.Sys, d.Proc)
	if err != nil {
		return nil, err
	}

	for _, candidate := range disks {
		if found := partitionsOf(d.Sys, candidate); found.complete() {
			return &found, nil
		}
	}

	return nil, nil
}

func partitionsOf(sys fs.FS, of disk.Disk) partitions {
	found := partitions{device: of.Path, nodes: map[string]string{}}

	for _, partition := range of.Partitions {
		text, err := fs.ReadFile(sys, path.Join("block", of.Name, partition.Name, "uevent"))
		if err != nil {
			continue // gone since
		}

		for line := range strings.Lines(string(text)) {
			if label, named := strings.CutPrefix(strings.TrimSpace(line), "PARTNAME="); named {
				found.nodes[label] = "/dev/" + partition.Name
			}
		}
	}

	return found
}

func (p partitions) complete() bool {
	for _, label := range []string{biosPartition, efiPartition, node.StatePartition, node.EphemeralPartition} {
		if p.nodes[label] == "" {
			return false
		}
	}

	return true
}

// errNoFileSystem is what the kernel thinks of a partition's content.
var errNoFileSystem = errors.New("no file system")

// Modules are the kernel modules of the file systems, of the checksums that ext4 asks for by name, and of the character sets of FAT's names.
func Modules() []string { return []string{"crc32c_generic", "ext4", "vfat", "nls_cp437", "nls_ascii"} }

// Programs are what has to be in the PATH.
func Programs() []string { return []string{"sfdisk", "mke2fs", "mkfs.vfat"} }

func fileSystem(label string) string {
	if label == efiPartition {
		return "vfat"
	}

	return "ext4"
}

func (p partitions) mount(label, dir string) error {
	err := unix.Mount(p.nodes[label], dir, fileSystem(label), unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, "")
	if errors.Is(err, unix.EINVAL) {
		err = errNoFileSystem
	}

	if err != nil {
		return fmt.Errorf("mount %s of %s: %w", label, p.device, err)
	}

	return nil
}

// mounted mounts a partition while it is visited.
func (p partitions) mounted(label string, visit func(dir string) error) error {
	dir, err := os.MkdirTemp("", label+"-")
	if err != nil {
		return fmt.Errorf("mount %s: %w", label, err)
	}
	defer os.Remove(dir)

	if err := p.mount(label, dir); err != nil {
		return err
	}

	err = visit(dir)
	if unmountErr := unix.Unmount(dir, 0); unmountErr != nil {
		err = errors.Join(err, fmt.Errorf("unmount %s: %w", label, unmountErr))
	}

	return err
}

// format makes the partition's file system anew. GRUB reads FAT cluster by cluster, which is slow with small ones.
func (p partitions) format(label string) error {
	if fileSystem(label) == "vfat" {
		return command("", "mkfs.vfat", "-F", "16", "-s", "64", "-n", label, p.nodes[label])
	}

	return command("", "mke2fs", "-q", "-F", "-t", "ext4", "-L", label, p.nodes[label])
}

// partition makes partitions and file systems on the disk that the configuration asks for.
func (d Disk) partition(configuration []byte) (*partitions, error) {
	disks, err := disk.List(d.Sys, d.Proc)
	if err != nil {
		return nil, err
	}

	target, err := choose(disks, configuration)
	if err != nil {
		return nil, err
	}

	d.Log.Info("writing to the disk", "disk", target.Path)

	if err := command(table, "sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions", "always", target.Path); err != nil {
		return nil, err
	}

	found, err := d.find()
	if err != nil {
		return nil, err
	}

	if found == nil || found.device != target.Path {
		return nil, fmt.Errorf("make partitions on %s: the kernel does not show them", target.Path)
	}

	for _, label := range []string{efiPartition, node.StatePartition, node.EphemeralPartition} {
		err = errors.Join(err, found.format(label))
	}

	return found, err
}

// command runs a program; its error has what it said.
func command(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)

	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", name, err, strings.TrimSpace(string(said)))
	}

	return nil
}
