package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pid1/systemdisk"
)

// grubFolder is where Debian's packages grub-pc-bin and grub-efi-amd64-bin keep their parts.
const grubFolder = "/usr/lib/grub"

// sectorSize is the BIOS's.
const sectorSize = 512

// Places in GRUB's boot.img and diskboot.img (its include/grub/i386/pc/boot.h): where the first finds the second, and the second the
// rest of the core.
const (
	kernelSector = 0x5c
	firstBlock   = sectorSize - 12
)

// makeLoaders makes GRUB for BIOS and for UEFI.
func makeLoaders(ctx context.Context) ([]debian.Content, error) {
	sector, err := os.ReadFile(filepath.Join(grubFolder, "i386-pc", "boot.img"))
	if err != nil {
		return nil, fmt.Errorf("make boot loader: %w: install the Debian package grub-pc-bin", err)
	}

	prefix := "(,gpt" + strconv.Itoa(systemdisk.EFIPartition) + ")" + systemdisk.GRUBFolder

	core, err := grubImage(ctx, "i386-pc", prefix, "biosdisk")
	if err != nil {
		return nil, err
	}

	if len(sector) != sectorSize || len(core) <= sectorSize {
		return nil, fmt.Errorf("make boot loader: boot.img has %d bytes and core.img %d", len(sector), len(core))
	}

	binary.LittleEndian.PutUint64(sector[kernelSector:], systemdisk.CoreSector)
	binary.LittleEndian.PutUint64(core[firstBlock:], systemdisk.CoreSector+1)

	efi, err := grubImage(ctx, "x86_64-efi", systemdisk.GRUBFolder)

	return []debian.Content{
		{Name: systemdisk.BootSectorFile, Data: sector}, {Name: systemdisk.CoreFile, Data: core}, {Name: systemdisk.EFIFile, Data: efi},
	}, err
}

// grubImage links GRUB's core with what it needs to read its configuration from a FAT partition, and to start Linux.
func grubImage(ctx context.Context, platform, prefix string, more ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "grub-")
	if err != nil {
		return nil, fmt.Errorf("make boot loader: %w", err)
	}
	defer os.RemoveAll(dir)

	output := filepath.Join(dir, "core")
	args := append([]string{
		"--format", platform, "--prefix", prefix, "--output", output, "part_gpt", "fat", "normal", "echo", "linux", "boot",
	}, more...)

	if said, err := exec.CommandContext(ctx, "grub-mkimage", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make boot loader for %s: %w: %s (the Debian packages grub-common, grub-pc-bin and grub-efi-amd64-bin are needed)", platform, err, bytes.TrimSpace(said))
	}

	return os.ReadFile(output)
}
