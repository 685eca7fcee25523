package inventory

import (
	"fmt"
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

// Interface is a network interface with its addresses in CIDR notation.
type Interface struct {
	net.Interface
	Addresses []string
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

// Network describes the interfaces that have a hardware address.
func Network(interfaces []Interface) *api.NetworkInformation {
	info := &api.NetworkInformation{}
	for _, iface := range interfaces {
		if len(iface.HardwareAddr) == 0 {
			continue
		}
		info.Interfaces = append(info.Interfaces, &api.NetworkInterface{
			Index:     uint32(iface.Index),
			Name:      iface.Name,
			Flags:     iface.Flags.String(),
			Mtu:       uint32(iface.MTU),
			Mac:       iface.HardwareAddr.String(),
			Addresses: iface.Addresses,
		})
	}
	info.InterfaceCount = uint32(len(info.Interfaces))
	return info
}

// Interfaces lists the interfaces of the running machine.
func Interfaces() ([]Interface, error) {
	found, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var list []Interface
	for _, iface := range found {
		addresses, err := iface.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", iface.Name, err)
		}
		entry := Interface{Interface: iface}
		for _, address := range addresses {
			entry.Addresses = append(entry.Addresses, address.String())
		}
		list = append(list, entry)
	}
	return list, nil
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
