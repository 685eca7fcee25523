package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

const lanFolder = "lan"

// Lease is an address that the LAN's DHCP server has given to a machine.
type Lease struct {
	MAC      net.HardwareAddr
	Address  netip.Addr
	Hostname string // empty when the machine named none
}

// startLAN starts the LAN's own DHCP server and returns when it answers. Its
// configuration is that of lanArguments and the given lines.
func (l *Lab) startLAN(ctx context.Context, lines string) error {
	folder, err := l.folder(lanFolder)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "dnsmasq.conf"), []byte(lines), 0o644); err != nil {
		return err
	}
	if l.LANLog, err = NewTranscript(filepath.Join(folder, "dnsmasq.log")); err != nil {
		return err
	}
	lan, err := l.Attach(ctx, lanFolder)
	if err != nil {
		return err
	}
	err = lan.ip(ctx, "address add "+LANAddress+"/24 dev eth0\naddress add fd30::1/64 dev eth0 nodad")
	if err != nil {
		return err
	}
	server := lan.Command(context.Background(), "dnsmasq", lanArguments(folder)...)
	server.Stderr = l.LANLog
	process, err := lan.startLogged(server, l.LANLog)
	if err != nil {
		return err
	}
	// dnsmasq takes a SIGTERM within its first milliseconds for a failed start.
	process.grace = 0
	_, err = l.LANLog.Wait(ctx, "DHCP, IP range")
	return err
}

// lanArguments make dnsmasq the DHCP server of a plain office LAN: addresses, a
// router and a name server, and nothing about booting but what is in dnsmasq.conf
// in the folder.
func lanArguments(folder string) []string {
	return []string{
		"--conf-file=" + filepath.Join(folder, "dnsmasq.conf"), "--port=0", "--interface=eth0", "--bind-interfaces",
		// No change of user or group: the kernel would forget the parent-death signal.
		"--no-daemon", "--log-facility=-", "--log-dhcp",
		"--dhcp-range=" + firstLease + "," + lastLease + ",255.255.255.0,1h",
		"--dhcp-option=option:router," + LANAddress, "--dhcp-option=option:dns-server," + LANAddress,
		"--dhcp-authoritative", "--dhcp-leasefile=" + filepath.Join(folder, "leases"),
		// It would ping each new address for 3 s, in which the firmware asks again.
		"--no-ping",
		// The iPXE 1.0.0 in the NIC ROM waits 16 s for a router advertisement
		// after its DHCP; lifetime 0 says that there is no router.
		"--enable-ra", "--dhcp-range=fd30::,ra-only,64", "--ra-param=eth0,10,0",
	}
}

// LANLeases lists the addresses the LAN's DHCP server has given out.
func (l *Lab) LANLeases() ([]Lease, error) {
	file, err := os.Open(filepath.Join(l.dir, lanFolder, "leases"))
	if os.IsNotExist(err) {
		return nil, nil // dnsmasq writes it with the first lease
	}
	if err != nil {
		return nil, fmt.Errorf("read leases of the LAN: %w", err)
	}
	defer file.Close()
	return parseLeases(file)
}

// parseLeases reads dnsmasq's lease file: expiry, MAC, address, host name or *,
// client identifier. The IPv6 part that follows the line of the server's DUID is
// left out.
func parseLeases(file io.Reader) ([]Lease, error) {
	var leases []Lease
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) == 0 || fields[0] == "duid" {
			break
		}
		if len(fields) < 4 {
			return nil, fmt.Errorf("read leases of the LAN: line %q: too few fields", scanner.Text())
		}
		mac, err := net.ParseMAC(fields[1])
		if err != nil {
			return nil, fmt.Errorf("read leases of the LAN: line %q: %w", scanner.Text(), err)
		}
		address, err := netip.ParseAddr(fields[2])
		if err != nil {
			return nil, fmt.Errorf("read leases of the LAN: line %q: %w", scanner.Text(), err)
		}
		leases = append(leases, Lease{MAC: mac, Address: address, Hostname: strings.Trim(fields[3], "*")})
	}
	return leases, scanner.Err()
}
