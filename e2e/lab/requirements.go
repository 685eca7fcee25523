package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// programPackages names the Debian package of each program the lab runs.
func programPackages() map[string]string {
	return map[string]string{
		"qemu-system-x86_64": "qemu-system-x86",
		"dnsmasq":            "dnsmasq-base",
		"ip":                 "iproute2",
	}
}

// filePackages names the Debian package of each file the lab reads.
func filePackages() map[string]string {
	return map[string]string{
		ovmfCode:                            "ovmf",
		ovmfVars:                            "ovmf",
		"/usr/share/seabios/bios-256k.bin":  "seabios",
		"/usr/lib/ipxe/qemu/pxe-virtio.rom": "ipxe-qemu", // the network boot of SeaBIOS machines
		"/dev/net/tun":                      "kmod (and load the kernel module tun)",
	}
}

// checkRequirements reports everything the lab misses on this computer at once.
func checkRequirements(lookPath func(string) (string, error), stat func(string) (fs.FileInfo, error)) error {
	var missing []error
	for program, debian := range programPackages() {
		if _, err := lookPath(program); err != nil {
			missing = append(missing, fmt.Errorf("the lab needs the program %s: install the Debian package %s", program, debian))
		}
	}
	for file, debian := range filePackages() {
		if _, err := stat(file); err != nil {
			missing = append(missing, fmt.Errorf("the lab needs the file %s: install the Debian package %s", file, debian))
		}
	}
	return errors.Join(missing...)
}

// installed checks this computer.
func installed() error { return checkRequirements(exec.LookPath, os.Stat) }

// explainMissing adds the Debian package to the error of a program that was not found.
func explainMissing(program string, err error) error {
	if debian, known := programPackages()[program]; known && errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install the Debian package %s", err, debian)
	}
	return err
}
