package node

import (
	"log/slog"
	"net"
	"net/netip"
)

// Config is what a node finds when it is switched on.
type Config struct {
	// Args are the kernel's arguments, as /proc/cmdline has them.
	Args string
	// Identity is what the firmware says.
	Identity Identity
	// Network is set up already, and stays as it is.
	Network Network
	// State is the system disk.
	State State
	// Root is the folder of what the node writes while it runs, such as the data of etcd: Talos's EPHEMERAL partition. It is there,
	// and lasts until State wipes it.
	Root string
	// Release of Talos that was booted, such as v1.13.6; what is installed goes before it. Empty is that of Talos's machinery here.
	Release string
	Log     *slog.Logger
}

// Identity is that of the machine, by SMBIOS.
type Identity struct {
	// UUID in lower case.
	UUID   string
	Serial string
}

// Network is how the machine is reached.
type Network struct {
	// Addresses of the machine, without the loopback's; the first is the node's.
	Addresses []netip.Addr
	// MAC of the interface with the first address.
	MAC net.HardwareAddr
	// Hostname as DHCP told it. A configuration's own goes before it. Empty is none.
	Hostname string
}

// Outcome is what has to be done with the machine when a node ends.
type Outcome int

// Outcomes. An installation and a reset end with one of them, too.
const (
	// Reboot restarts the machine: the firmware decides what it boots.
	Reboot Outcome = iota + 1
	// Shutdown switches it off.
	Shutdown
)

// String implements fmt.Stringer.
func (o Outcome) String() string {
	switch o {
	case Reboot:
		return "reboot"
	case Shutdown:
		return "shutdown"
	default:
		return "none"
	}
}

// Values are the variables of talos.config.
func (c Config) Values() map[string]string {
	return map[string]string{
		"uuid": c.Identity.UUID, "serial": c.Identity.Serial, "mac": c.Network.MAC.String(), "hostname": c.Network.Hostname,
	}
}
