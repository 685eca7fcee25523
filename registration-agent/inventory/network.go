package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/ethtool"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/lldp"
)

// Interface is a network interface with its addresses in CIDR notation.
type Interface struct {
	net.Interface
	Addresses []string
	Adapter
}

// Adapter is what carries an interface. All of it is empty for what the kernel made up.
type Adapter struct {
	// Permanent is the address that the adapter has from its maker.
	Permanent net.HardwareAddr
	// Driver is the kernel's name of it.
	Driver string
	// BusPath is the place on the bus: 0000:01:00.0 on PCI, 1-1.2:1.0 on USB.
	BusPath string
	// Link is up, down, or empty if the driver does not tell.
	Link string
	// Speed of the link, and MaximumSpeed that the adapter supports, are in megabits per second
	// and 0 if nobody tells.
	Speed, MaximumSpeed int
	// Neighbours are the ports at the other end of its cable. They are not known before
	// switches have had the time to announce them.
	Neighbours      []lldp.Announcement
	NeighboursKnown bool
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

// Interfaces lists the interfaces of the running machine, with what a listener has heard on
// them.
func Interfaces(listener *lldp.Listener) ([]Interface, error) {
	found, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	permanent, err := permanentAddresses()
	if err != nil {
		return nil, err
	}
	var list []Interface
	for _, iface := range found {
		addresses, err := iface.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", iface.Name, err)
		}
		entry := Interface{Interface: iface, Adapter: adapter(os.DirFS("/sys"), iface.Name)}
		for _, address := range addresses {
			entry.Addresses = append(entry.Addresses, address.String())
		}
		entry.Permanent = permanent[iface.Index]
		// A driver that does not tell is as good as none.
		if link, err := ethtool.Ask(iface.Name); err == nil {
			entry.Speed, entry.MaximumSpeed = link.Speed, link.MaximumSpeed
		}
		entry.Neighbours, entry.NeighboursKnown = listener.Neighbours(iface.Index)
		list = append(list, entry)
	}
	return list, nil
}

// permanentAddresses are those that adapters have from their makers, by the index of the
// interface.
func permanentAddresses() (map[int]net.HardwareAddr, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list permanent addresses: %w", err)
	}
	addresses := map[int]net.HardwareAddr{}
	for _, link := range links {
		if address := link.Attrs().PermHWAddr; len(address) > 0 {
			addresses[link.Attrs().Index] = address
		}
	}
	return addresses, nil
}

// adapter looks an interface up in sysfs.
func adapter(sys fs.FS, name string) Adapter {
	dir := path.Join("class", "net", name)
	attributes := attributes{sys: sys, dir: dir}
	found := Adapter{Driver: linked(sys, path.Join(dir, "device", "driver"))}
	// Reading the carrier of an interface that is switched off is an error.
	switch attributes.first("carrier") {
	case "1":
		found.Link = "up"
	case "0":
		found.Link = "down"
	}
	if place, err := fs.ReadLink(sys, dir); err == nil {
		found.BusPath = busPath(place)
	}
	return found
}

// linked is the last part of a link's target.
func linked(sys fs.FS, name string) string {
	target, err := fs.ReadLink(sys, name)
	if err != nil {
		return ""
	}
	return path.Base(target)
}

// busPath is the device of a PCI function or USB interface nearest to an interface's place
// in sysfs, as in ../../devices/pci0000:00/0000:00:03.0/virtio0/net/eth0.
func busPath(place string) string {
	device, _, found := strings.Cut(place, "/net/")
	if !found || strings.Contains(device, "/virtual") {
		return ""
	}
	parts := strings.Split(device, "/")
	for n := len(parts) - 1; n >= 0; n-- {
		if strings.Contains(parts[n], ":") && !strings.HasPrefix(parts[n], "pci") {
			return parts[n]
		}
	}
	return path.Base(device)
}
