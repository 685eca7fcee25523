package lab

import (
	"crypto/sha256"
	"fmt"
	"net"
	"regexp"
	"slices"

	"github.com/google/uuid"
)

// Firmware is what a machine starts from.
type Firmware string

// The firmware there is.
const (
	BIOS     Firmware = "bios"      // SeaBIOS, network boot by the NIC's own iPXE
	UEFI     Firmware = "uefi"      // OVMF, network boot over TFTP
	UEFIHTTP Firmware = "uefi-http" // OVMF, UEFI HTTP boot
)

// Boot is where a machine's firmware looks for something to start.
type Boot string

// The boot orders there are.
const (
	FromNetwork Boot = "network" // the NIC first, then the disks
	FromDisk    Boot = "disk"    // the disks only: no network boot is ever asked for
)

// Disk is a disk of a machine. Its content is the raw file <number>.disk in the
// machine's folder, sparse and blank when the machine is new.
type Disk struct {
	Size   int64  // bytes
	Bus    Bus    // default Virtio
	Serial string // default derived from the machine's name
}

// SMBIOS is what the machine's vendor wrote into it; all of it is optional but
// Serial, whose default is derived from the machine's name.
type SMBIOS struct {
	Manufacturer, Product, Version, Serial, SKU, Family, AssetTag string
}

// Kernel is a Linux kernel that QEMU starts without asking the firmware for a
// boot device.
type Kernel struct {
	Path, Initramfs, CommandLine string
}

// Machine describes a computer to power on. Only the name is needed.
type Machine struct {
	Name     string   // lower-case letters, digits and hyphens; unique in the lab
	Firmware Firmware // default BIOS

	UUID uuid.UUID        // default derived from the name
	MAC  net.HardwareAddr // default derived from the name
	NIC  string           // QEMU's device model, default virtio-net-pci; usb-net sits on USB

	Memory int // MiB, default 1024
	CPUs   int // default 1; more cost real ones
	Disks  []Disk
	SMBIOS SMBIOS

	// NoRandomness leaves out what gives a kernel random numbers at once, as on
	// old machines: RDRAND in the processor, and a random number device.
	NoRandomness bool

	Boot   Boot    // default FromNetwork
	Kernel *Kernel // starts this instead of booting
	// ExitOnReboot ends the virtual machine where a real one would reboot.
	ExitOnReboot bool
	// Capture records every packet of the machine's NIC from power-on, see VM.CapturePath.
	Capture bool
	// Extra are further arguments of QEMU.
	Extra []string
}

// Presets are one machine of each firmware, as of three vendors, for who wants
// to see all of them boot.
func Presets() []Machine {
	const gigabyte = 1 << 30
	return []Machine{
		{
			Name: "bios", Firmware: BIOS, Disks: []Disk{{Size: 8 * gigabyte, Bus: SATA}},
			SMBIOS: SMBIOS{Manufacturer: "Lab Classic", Product: "Pizza Box 100", SKU: "PB-100"},
		},
		{
			Name: "uefi", Firmware: UEFI, Disks: []Disk{{Size: 16 * gigabyte, Bus: NVMe}},
			SMBIOS: SMBIOS{Manufacturer: "Lab Modern", Product: "Rack Server 200", SKU: "RS-200"},
		},
		{
			Name: "uefi-http", Firmware: UEFIHTTP, Disks: []Disk{{Size: 16 * gigabyte}, {Size: 4 * gigabyte, Bus: NVMe}},
			SMBIOS: SMBIOS{Manufacturer: "Lab Cloud", Product: "Sled 300", SKU: "SL-300"},
		},
	}
}

// WithDefaults is the machine as PowerOn makes it, with what was left out filled
// in: who its UUID and MAC are is thus known before.
func (m Machine) WithDefaults() Machine {
	m.Firmware = either(m.Firmware, BIOS)
	m.Boot = either(m.Boot, FromNetwork)
	m.NIC = either(m.NIC, "virtio-net-pci")
	m.Memory = either(m.Memory, 1024)
	m.CPUs = either(m.CPUs, 1)
	m.UUID = either(m.UUID, uuidOf(m.Name))
	m.SMBIOS.Serial = either(m.SMBIOS.Serial, "LAB-"+m.Name)
	if m.MAC == nil {
		m.MAC = macOf(m.Name)
	}
	m.Disks = slices.Clone(m.Disks)
	for i := range m.Disks {
		m.Disks[i].Bus = either(m.Disks[i].Bus, Virtio)
		m.Disks[i].Serial = either(m.Disks[i].Serial, fmt.Sprintf("%s-%d", m.Name, i))
	}
	return m
}

// validate expects the defaults filled in.
func (m Machine) validate() error {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`).MatchString(m.Name) || m.Name == lanFolder {
		return fmt.Errorf("machine name %q: use lower-case letters, digits and hyphens, at most 40, and not %q", m.Name, lanFolder)
	}
	if !slices.Contains([]Firmware{BIOS, UEFI, UEFIHTTP}, m.Firmware) {
		return fmt.Errorf("machine %s: unknown firmware %q", m.Name, m.Firmware)
	}
	if !slices.Contains([]Boot{FromNetwork, FromDisk}, m.Boot) {
		return fmt.Errorf("machine %s: unknown boot order %q", m.Name, m.Boot)
	}
	sata := 0
	for i, disk := range m.Disks {
		if disk.Bus == SATA {
			sata++
		}
		if sata > sataPorts {
			return fmt.Errorf("machine %s: disk %d: only %d disks fit on the bus %s", m.Name, i, sataPorts, SATA)
		}
		if _, known := attachments()[disk.Bus]; !known {
			return fmt.Errorf("machine %s: disk %d: unknown bus %q", m.Name, i, disk.Bus)
		}
		if disk.Size <= 0 {
			return fmt.Errorf("machine %s: disk %d: size %d: a disk has some bytes", m.Name, i, disk.Size)
		}
	}
	return nil
}

// macOf derives a MAC address from a machine's name, in QEMU's range.
func macOf(name string) net.HardwareAddr {
	digest := sha256.Sum256([]byte(name))
	return net.HardwareAddr{0x52, 0x54, 0x00, digest[0], digest[1], digest[2]}
}

// uuidOf derives a UUID from a machine's name (RFC 9562 section 5.5).
func uuidOf(name string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("machine of the lab: "+name))
}

func either[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
