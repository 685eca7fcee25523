// Package ipxe writes the scripts that iPXE runs on a machine: the one it starts with, and the answers to "what do I
// boot now?". Only text is made here: no socket, and no decision about what a machine boots (netboot/bootplan).
//
// The scripts run in every iPXE since 2019: BIOS and UEFI, in network cards (QEMU's cards hold 1.0.0) and those the
// appliance serves (1.21). What that asks for:
//   - No command newer than 1.0.0 is relied upon. iflinkwait is of 2021.
//   - A line ends the script when it fails and nothing follows "||".
//   - A setting in an address is written with :uristring, or a space in a serial number splits the command.
//   - netX is the interface opened last, which is the one the script came through.
//   - Under UEFI the kernel finds the initial RAM disk by the image's name in initrd=.
//
// Specification: https://ipxe.org/scripting and https://ipxe.org/cmd.
package ipxe
