package inventory

import (
	"net"
	"regexp"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// Identity is what tells the machine from others with the same UUID: its serial number,
// the interface it booted from, and the addresses that adapters have from their makers.
// Adapters on USB are left out: they are carried from machine to machine.
func Identity(sources Sources, boot net.HardwareAddr) *api.Identity {
	identity := &api.Identity{BootMac: boot.String()}
	if sources.SMBIOS != nil {
		// Firmware writes what it likes, and text of the protocol is UTF-8.
		identity.SerialNumber = strings.ToValidUTF8(sources.SMBIOS.SystemInformation.SerialNumber, "")
	}
	for _, iface := range sources.Interfaces {
		if len(iface.Permanent) > 0 && iface.BusPath != "" && !onUSB(iface.BusPath) {
			identity.Macs = append(identity.Macs, iface.Permanent.String())
		}
	}
	return identity
}

// onUSB tells whether a place on a bus is an interface of a USB device: bus, ports,
// configuration and interface (Linux Documentation/driver-api/usb/usb.rst).
func onUSB(place string) bool {
	return regexp.MustCompile(`^[0-9]+-[0-9.]+:[0-9]+\.[0-9]+$`).MatchString(place)
}
