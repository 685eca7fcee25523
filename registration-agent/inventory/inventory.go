package inventory

import (
	"io/fs"
	"net"

	"github.com/siderolabs/go-smbios/smbios"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// Sources is where the facts come from.
type Sources struct {
	// Sys is the root of sysfs.
	Sys fs.FS
	// SMBIOS are the firmware's tables.
	SMBIOS *smbios.SMBIOS
	// Interfaces are all interfaces, the loopback included.
	Interfaces []Interface
}

// Collect describes the machine.
func Collect(sources Sources) (*api.HardwareInformation, error) {
	storage, err := Storage(sources.Sys)
	if err != nil {
		return nil, err
	}
	return &api.HardwareInformation{
		System:  System(sources.SMBIOS),
		Compute: Compute(sources.SMBIOS),
		Memory:  Memory(sources.SMBIOS),
		Storage: storage,
		Network: Network(sources.Interfaces),
	}, nil
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
