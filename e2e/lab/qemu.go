package lab

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// QEMU inherits these descriptors.
const (
	qmpFD = 3
	tapFD = 4
)

// qemuArguments are the arguments that make QEMU the machine, whose defaults are
// filled in and whose files are in folder. The serial console is QEMU's standard
// output.
func qemuArguments(m Machine, folder string) []string {
	args := []string{
		"-name", m.Name, "-nodefaults", "-no-user-config", "-display", "none",
		// graphics=off makes SeaBIOS and iPXE speak on the serial port.
		"-machine", "q35,graphics=off",
		"-accel", "tcg", // /dev/kvm may open and yet hang the guest
		"-m", strconv.Itoa(m.Memory), "-smp", strconv.Itoa(m.CPUs),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFD), "-mon", "chardev=qmp,mode=control",
	}
	args = append(args, processorArguments(m)...)
	args = append(args, smbiosArguments(m)...)
	args = append(args, firmwareArguments(m, folder)...)
	args = append(args, controllerArguments(m)...)
	args = append(args, nicArguments(m)...)
	args = append(args, diskArguments(m, folder)...)
	if m.Kernel != nil {
		args = append(args, "-kernel", m.Kernel.Path, "-initrd", m.Kernel.Initramfs, "-append", m.Kernel.CommandLine)
	}
	if m.ExitOnReboot {
		args = append(args, "-no-reboot")
	}
	return append(args, m.Extra...)
}

func processorArguments(m Machine) []string {
	if m.NoRandomness {
		return []string{"-cpu", "qemu64"}
	}
	return []string{"-cpu", "max", "-device", "virtio-rng-pci"}
}

func smbiosArguments(m Machine) []string {
	system := "type=1,uuid=" + m.UUID.String()
	chassis := "type=3,serial=" + value(m.SMBIOS.Serial)
	for _, field := range []struct{ key, text string }{
		{"manufacturer", m.SMBIOS.Manufacturer}, {"product", m.SMBIOS.Product}, {"version", m.SMBIOS.Version},
		{"serial", m.SMBIOS.Serial}, {"sku", m.SMBIOS.SKU}, {"family", m.SMBIOS.Family},
	} {
		if field.text != "" {
			system += "," + field.key + "=" + value(field.text)
		}
	}
	if m.SMBIOS.AssetTag != "" {
		chassis += ",asset=" + value(m.SMBIOS.AssetTag)
	}
	return []string{"-uuid", m.UUID.String(), "-smbios", system, "-smbios", chassis}
}

func firmwareArguments(m Machine, folder string) []string {
	if m.Firmware == BIOS {
		return nil // SeaBIOS is QEMU's default
	}
	args := []string{
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + ovmfCode,
		"-drive", "if=pflash,format=raw,unit=1,file=" + value(varsFile(folder)),
		"-fw_cfg", "name=opt/org.tianocore/IPv6Support,string=n", // no IPv6 rounds before IPv4
	}
	if m.Firmware == UEFIHTTP || m.Boot == FromDisk {
		args = append(args, "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")
	}
	return args
}

func nicArguments(m Machine) []string {
	device := m.NIC + ",netdev=lan,mac=" + m.MAC.String()
	if m.Boot == FromNetwork {
		device += ",bootindex=0"
	}
	// OVMF brings a driver for virtio; with the NIC's ROM, iPXE 1.0.0 would boot
	// in its place, which cannot start a current kernel under UEFI.
	ownDriver := m.Firmware != BIOS && strings.HasPrefix(m.NIC, "virtio-")
	if !onUSB(m.NIC) && (ownDriver || m.Boot == FromDisk) {
		device += ",romfile="
	}
	return []string{"-netdev", fmt.Sprintf("tap,id=lan,fd=%d", tapFD), "-device", device}
}

func varsFile(folder string) string { return filepath.Join(folder, "firmware-variables.fd") }

func diskFile(folder string, i int) string { return filepath.Join(folder, fmt.Sprintf("%d.disk", i)) }

// value escapes text for a list of QEMU options, where a comma ends it.
func value(text string) string { return strings.ReplaceAll(text, ",", ",,") }
