package preflight

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Need is a capability of capabilities(7) that the process must have.
type Need struct {
	Capability int    // such as unix.CAP_NET_RAW
	Name       string // such as CAP_NET_RAW
	Why        string // what it is needed for, to stand behind "for"
}

// Needs returns the capabilities that the ports and modes ask for. Ports below
// the first unprivileged one ask for CAP_NET_BIND_SERVICE. Answering DHCP asks
// for CAP_NET_RAW: the answer to a machine that has no address yet goes out as
// a frame made by hand.
func Needs(listeners []Listener, firstUnprivileged int, answersDHCP bool) []Need {
	var low []string
	seen := map[string]bool{}
	for _, l := range listeners {
		if l.Port < firstUnprivileged && !seen[l.name()] {
			seen[l.name()] = true
			low = append(low, l.name())
		}
	}
	var needs []Need
	if len(low) > 0 {
		needs = append(needs, Need{unix.CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", "port " + strings.Join(low, ", ")})
	}
	if answersDHCP {
		needs = append(needs, Need{unix.CAP_NET_RAW, "CAP_NET_RAW", "answering DHCP"})
	}
	return needs
}

// MissingCapabilities returns an error for each need that the effective set,
// one bit a capability, does not meet. Program is the path of this program.
func MissingCapabilities(effective uint64, needs []Need, program string) []error {
	var errs []error
	for _, n := range needs {
		if effective&(1<<n.Capability) == 0 {
			errs = append(errs, fmt.Errorf("capability %s is missing, needed for %s: run as root, use the systemd unit, or: setcap cap_net_bind_service,cap_net_raw+ep %s",
				n.Name, n.Why, program))
		}
	}
	return errs
}

// EffectiveCapabilities are those of this process, one bit each.
func EffectiveCapabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 32 capabilities each
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// FirstUnprivilegedPort is the lowest port that needs no capability, from
// ip_unprivileged_port_start of ip-sysctl.
func FirstUnprivilegedPort() int {
	const fallback = 1024 // kernels before 4.11 have no such setting
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return fallback
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return fallback
	}
	return port
}
