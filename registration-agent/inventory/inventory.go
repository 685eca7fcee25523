package inventory

import (
	"io/fs"
	"net"

	"github.com/siderolabs/go-smbios/smbios"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Sources is where the facts come from.
type Sources struct {
	// Sys is the root of sysfs.
	Sys fs.FS
	// SMBIOS are the firmware's tables.
	SMBIOS *smbios.SMBIOS
	// Interfaces are all interfaces, the loopback included.
	Interfaces []Interface
	// Disks are as disk.List returns them.
	Disks []disk.Disk
}

// Collect describes the machine in the terms of Sidero's protocol.
func Collect(sources Sources) *api.HardwareInformation {
	return &api.HardwareInformation{
		System:  System(sources.SMBIOS),
		Compute: Compute(sources.SMBIOS),
		Memory:  Memory(sources.SMBIOS),
		Storage: Storage(sources.Sys, sources.Disks),
		Network: Network(sources.Interfaces),
	}
}

// Addresses are the addresses by which others can reach the machine: global unicast,
// which leaves out loopback, multicast and link-local ones.
func Addresses(interfaces []Interface) []*api.Address {
	var list []*api.Address
	for _, iface := range interfaces {
		for _, text := range iface.Addresses {
			ip, _, err := net.ParseCIDR(text)
			if err == nil && ip.IsGlobalUnicast() {
				list = append(list, &api.Address{Type: "InternalIP", Address: ip.String()})
			}
		}
	}
	return list
}
