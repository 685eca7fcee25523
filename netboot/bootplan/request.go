package bootplan

import (
	"encoding/hex"
	"net"
	"strconv"
	"strings"
)

// Request is what a machine says about itself.
type Request struct {
	// UUID of its SMBIOS table in lower case, which names its Server unless others have the same; empty when the firmware has
	// none.
	UUID string
	// Serial number of its SMBIOS table.
	Serial string
	// MAC of the interface it boots from, with colons; empty when it sent none that can be read.
	MAC string
	// Arch of the kernel it can run.
	Arch Arch
	// Loader is what asks.
	Loader Loader
}

// Arch is a machine architecture, as in the names of agent environments.
type Arch string

// The architectures that Sidero knows.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

// ParseArch maps iPXE's buildarch. It is i386 also on 64-bit machines with BIOS, so everything but arm64 means amd64, as
// in Sidero.
func ParseArch(buildarch string) Arch {
	if buildarch == string(ARM64) {
		return ARM64
	}
	return AMD64
}

// ParseMAC reads an address in any usual notation, iPXE's hexhyp included, and writes it with colons; "" when it is none.
func ParseMAC(text string) string {
	if mac, err := net.ParseMAC(text); err == nil {
		return mac.String()
	}
	if mac, err := hex.DecodeString(text); err == nil && len(mac) == 6 {
		return net.HardwareAddr(mac).String()
	}
	return ""
}

// Loader is the iPXE that asks. A loader that does not say what it is, as with Sidero's own script, is taken to be able.
type Loader struct {
	// Platform is iPXE's platform: pcbios or efi.
	Platform string
	// Version is iPXE's version, such as 1.0.0+git-20190125.36a4c85-5.1 or 1.21.1+.
	Version string
}

// outdated tells an iPXE before 1.21 under UEFI. Seen with 1.0.0 in QEMU's network cards: it loads a 6.1 kernel and fails
// to start it, "Could not boot: Error 0x7f04828e". Under BIOS the same version starts it.
func (l Loader) outdated() bool {
	known, current := l.age()
	return l.Platform == "efi" && known && !current
}

// Current tells whether it is known to be of 1.21 or later, as the appliance's own is.
func (l Loader) Current() bool {
	_, current := l.age()
	return current
}

func (l Loader) age() (known, current bool) {
	major, rest, _ := strings.Cut(l.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	majorNumber, majorErr := strconv.Atoi(major)
	minorNumber, minorErr := strconv.Atoi(minor)
	known = majorErr == nil && minorErr == nil
	return known, known && (majorNumber > 1 || majorNumber == 1 && minorNumber >= 21)
}

// LoaderOf is what iPXE says of itself as an HTTP client: iPXE/1.21.1+git20250501. The version is empty for other clients.
func LoaderOf(userAgent string) Loader {
	version, ok := strings.CutPrefix(userAgent, "iPXE/")
	if !ok {
		return Loader{}
	}
	return Loader{Version: version}
}
