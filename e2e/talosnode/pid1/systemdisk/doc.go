// Package systemdisk is a node's State on a disk of its machine: partitions with Talos's labels, file systems, and GRUB, so that the
// machine afterwards starts the node from the disk by itself, under BIOS and UEFI.
//
// The partitions are fewer than Talos's, and their sizes are others:
//
//	BIOS       1 MiB    GRUB for BIOS, which the boot sector loads
//	EFI        256 MiB  FAT: GRUB for UEFI, its configuration, kernel, initramfs, and what is installed but for the configuration
//	STATE      64 MiB   ext4: the machine configuration
//	EPHEMERAL  the rest ext4: what the node writes while it runs
package systemdisk
