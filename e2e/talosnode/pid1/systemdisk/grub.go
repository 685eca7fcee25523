package systemdisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files in Config.Boot.
const (
	KernelFile    = "vmlinuz"
	InitramfsFile = "initramfs"
	// BootSectorFile is GRUB's boot.img, which loads CoreFile from CoreSector.
	BootSectorFile = "boot.img"
	CoreFile       = "core.img"
	EFIFile        = "bootx64.efi"
)

// GRUBFolder is where both GRUBs look for their configuration, on the partition EFI.
const GRUBFolder = "/grub"

const grubFile = GRUBFolder + "/grub.cfg"

// bootCode is how much of the first sector is a program; what follows are a signature and the partition table of DOS.
const bootCode = 440

// grubConfiguration has GRUB start the kernel at once. It expands nothing between single quotes, such as the ${uuid} of a URL.
func grubConfiguration(args string) string {
	var words strings.Builder
	for word := range strings.FieldsSeq(args) {
		words.WriteString(" '" + strings.ReplaceAll(word, "'", `'\''`) + "'")
	}

	return fmt.Sprintf("echo 'Starting the node from the disk'\nlinux /%s%s\ninitrd /%s\nboot\n", KernelFile, words.String(), InitramfsFile)
}

// makeBootable copies kernel and initramfs, and both GRUBs.
func (d Disk) makeBootable(p *partitions) error {
	err := p.mounted(efiPartition, func(dir string) error {
		var err error
		for file, target := range map[string]string{KernelFile: KernelFile, InitramfsFile: InitramfsFile, EFIFile: "EFI/BOOT/BOOTX64.EFI"} {
			err = errors.Join(err, copyFile(filepath.Join(d.Boot, file), filepath.Join(dir, target)))
		}

		return errors.Join(err, os.MkdirAll(filepath.Join(dir, GRUBFolder), 0o755))
	})
	if err != nil {
		return fmt.Errorf("make %s bootable: %w", p.device, err)
	}

	if err := d.writeLoader(p.device); err != nil {
		return fmt.Errorf("make %s bootable: %w", p.device, err)
	}

	return nil
}

// writeLoader writes GRUB for BIOS, which is in no file system.
func (d Disk) writeLoader(device string) error {
	sector, err := os.ReadFile(filepath.Join(d.Boot, BootSectorFile))
	if err != nil {
		return err
	}

	core, err := os.ReadFile(filepath.Join(d.Boot, CoreFile))
	if err != nil {
		return err
	}

	return onDevice(device, func(disk *os.File) error {
		_, err := disk.WriteAt(core, CoreSector*512)
		if err == nil {
			_, err = disk.WriteAt(sector[:min(bootCode, len(sector))], 0)
		}

		return err
	})
}

// onDevice writes to a device, and returns when that will survive a power cut.
func onDevice(device string, write func(*os.File) error) error {
	disk, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}

	return errors.Join(write(disk), disk.Sync(), disk.Close())
}

func flush(device string) error { return onDevice(device, func(*os.File) error { return nil }) }

// blank overwrites the first and the last MiB, where partition tables and boot loaders are.
func blank(device string) error {
	const mebibyte = 1 << 20

	return onDevice(device, func(disk *os.File) error {
		end, err := disk.Seek(0, io.SeekEnd)
		for _, offset := range []int64{0, max(end-mebibyte, 0)} {
			if err == nil {
				_, err = disk.WriteAt(make([]byte, min(mebibyte, end)), offset)
			}
		}

		return err
	})
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}

	return replace(to, content)
}

// replace writes a file whole, and its folder where it is missing.
func replace(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}

	fresh, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}

	_, err = fresh.Write(content)
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}

	return os.Rename(file+".new", file)
}
