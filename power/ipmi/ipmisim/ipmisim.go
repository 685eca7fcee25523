// Package ipmisim runs a BMC that others wrote, for tests: ipmi_sim of OpenIPMI. It is reached over the network, and from
// inside a machine when QEMU's device ipmi-bmc-extern is connected to it.
package ipmisim

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// User is an account.
type User struct {
	Name, Password string
	// Privilege is user, operator or admin.
	Privilege string
	Disabled  bool
}

// Config is what a BMC is made of.
type Config struct {
	// Folder for its files.
	Folder string
	// Address is where it listens for IPMI over the network.
	Address netip.AddrPort
	// Says is the address that it says it has; Address's when it is the zero Addr.
	Says netip.Addr
	// Machine is where it listens for QEMU, none when it is the zero AddrPort.
	Machine netip.AddrPort
	// Users are numbered from 2 on.
	Users []User
	// Chassis is a shell script that reads and changes power and boot flags. Without, power is QEMU's.
	Chassis string
}

// network is a script that says what a BMC's network settings are, and takes all changes.
const network = `#!/bin/sh
shift
[ "$1" = get ] || exit 0
shift
for name; do
	case $name in
	ip_addr) echo "ip_addr:%s";;
	ip_addr_src) echo "ip_addr_src:static";;
	subnet_mask) echo "subnet_mask:255.255.255.0";;
	mac_addr) echo "mac_addr:52:54:00:00:00:fe";;
	*) echo "$name:0.0.0.0";;
	esac
done
`

const emulator = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`

// Write writes the BMC's files, and returns the arguments of ipmi_sim, to be run in the folder.
func (c Config) Write() ([]string, error) {
	says := c.Says
	if !says.IsValid() {
		says = c.Address.Addr()
	}
	for name, text := range map[string]string{
		"chassis": c.Chassis, "network": fmt.Sprintf(network, says), "sim.emu": emulator, "lan.conf": c.lan(),
	} {
		if err := os.WriteFile(filepath.Join(c.Folder, name), []byte(text), 0o700); err != nil {
			return nil, err
		}
	}
	return []string{"-c", "lan.conf", "-f", "sim.emu", "-s", c.Folder, "-n"}, nil
}

func (c Config) lan() string {
	var text strings.Builder
	fmt.Fprintf(&text, "name \"sim\"\nset_working_mc 0x20\nstartlan 1\naddr %s %d\npriv_limit admin\n", c.Address.Addr(), c.Address.Port())
	for _, role := range []string{"callback", "user", "operator", "admin"} {
		fmt.Fprintf(&text, "allowed_auths_%s none md2 md5 straight\n", role)
	}
	fmt.Fprintf(&text, "guid a123456789abcdefa123456789abcdef\nlan_config_program \"%s eth0\"\nendlan\n", filepath.Join(c.Folder, "network"))
	if c.Machine.IsValid() {
		fmt.Fprintf(&text, "serial 15 %s %d codec VM\n", c.Machine.Addr(), c.Machine.Port())
	}
	if c.Chassis != "" {
		fmt.Fprintf(&text, "chassis_control \"%s 0x20\"\n", filepath.Join(c.Folder, "chassis"))
	}
	for n, user := range c.Users {
		fmt.Fprintf(&text, "user %d %t %q %q %s 10 none md2 md5 straight\n", n+2, !user.Disabled, user.Name, user.Password, user.Privilege)
	}
	return text.String()
}

// Command is the program for these arguments, as it runs on this computer.
func Command(folder string, arguments []string) *exec.Cmd {
	command := exec.Command("ipmi_sim", arguments...)
	command.Dir = folder
	return command
}
