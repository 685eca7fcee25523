package ipmi_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/ipmisim"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// chassisProgram is what OpenIPMI's simulator runs to read and change the chassis. It writes down what it is told.
const chassisProgram = `#!/bin/sh
shift; operation=$1; shift
while [ $# -gt 0 ]; do
	case $operation:$1 in
	get:power) echo "power:$(cat power)"; shift;;
	get:boot) echo "boot:$(cat boot)"; shift;;
	get:*) echo "$1:0"; shift;;
	set:power) echo "$2" >power; echo "power $2" >>log; shift 2;;
	set:boot) echo "$2" >boot; echo "boot $2" >>log; shift 2;;
	set:*) echo "$1" >>log; shift 2;;
	esac
done
`

// openipmi is a BMC of OpenIPMI's ipmi_sim, in a folder.
type openipmi struct {
	folder string
	port   int
}

func startOpenIPMI(t *testing.T) *openipmi {
	t.Helper()
	if _, err := exec.LookPath("ipmi_sim"); err != nil {
		t.Fatal("ipmi_sim is not installed: run \"make deps\"")
	}
	sim := &openipmi{folder: t.TempDir(), port: freePort(t)}
	sim.write(t, "power", "0\n")
	sim.write(t, "boot", "default\n")
	sim.write(t, "log", "")
	config := ipmisim.Config{
		Folder: sim.folder, Address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sim.port)), Chassis: chassisProgram,
		Users: []ipmisim.User{
			{Name: "admin", Password: "s1der0", Privilege: "admin"}, {Name: "oper", Password: "s1der0", Privilege: "operator"},
			{Name: "visitor", Password: "s1der0", Privilege: "user"}, {Name: "disabled", Password: "s1der0", Privilege: "admin", Disabled: true},
		},
	}
	arguments, err := config.Write()
	if err != nil {
		t.Fatal(err)
	}
	command := ipmisim.Command(sim.folder, arguments)
	output := &strings.Builder{}
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
		if t.Failed() {
			t.Logf("ipmi_sim: %s", output)
		}
	})
	return sim
}

func freePort(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

func (o *openipmi) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.folder, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// log is what the chassis was told since the last time.
func (o *openipmi) log(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(o.folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	o.write(t, "log", "")
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (o *openipmi) driver(t *testing.T, change func(*ipmi.Config)) *ipmi.Driver {
	t.Helper()
	config := ipmi.Config{Endpoint: "127.0.0.1", Port: o.port, User: "admin", Password: "s1der0", Wait: 300 * time.Millisecond}
	change(&config)
	driver, err := ipmi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	// It listens a moment after it has started.
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err = driver.State(t.Context()); err == nil || time.Now().After(deadline) {
			return driver
		}
	}
}

// TestOpenIPMI holds the driver to what a BMC does that we did not write, over IPMI 2.0 and 1.5.
func TestOpenIPMI(t *testing.T) {
	sim := startOpenIPMI(t)
	for _, kind := range []string{ipmi.Lanplus, ipmi.Lan} {
		t.Run(kind, func(t *testing.T) {
			driver := sim.driver(t, func(c *ipmi.Config) { c.Interface = kind })
			ctx := t.Context()
			state := func(want power.State) {
				t.Helper()
				if got, err := driver.State(ctx); got != want || err != nil {
					t.Fatalf("state is %s, %v, want %s", got, err, want)
				}
			}
			do := func(call func() error, want ...string) {
				t.Helper()
				if err := call(); err != nil {
					t.Fatal(err)
				}
				if got := sim.log(t); !slices.Equal(got, want) {
					t.Fatalf("the chassis was told %q, want %q", got, want)
				}
			}
			sim.write(t, "power", "0\n")
			sim.write(t, "boot", "default\n")
			sim.log(t)
			state(power.Off)
			do(func() error { return driver.BootFromNetwork(ctx, power.UEFI) }, "boot pxe")
			do(func() error { return driver.Cycle(ctx) }, "power 1")
			state(power.On)
			do(func() error { return driver.On(ctx) }, "")
			do(func() error { return driver.BootFromNetwork(ctx, power.BIOS) }, "boot pxe", "boot none", "boot pxe")
			do(func() error { return driver.Off(ctx) }, "power 0")
			state(power.Off)
			do(func() error { return driver.Off(ctx) }, "")
			if device, err := driver.Device(ctx); err != nil || device != (ipmi.Device{Manufacturer: 0x1291, Product: 0xf02, Firmware: "9.08", IPMI: "2.0"}) {
				t.Fatalf("device is %+v, %v", device, err)
			}
			if kind == ipmi.Lanplus && driver.Suite() != 3 {
				t.Errorf("suite is %d", driver.Suite())
			}
		})
	}
}

// TestOpenIPMIRefuses: what a BMC that we did not write does about logins that are wrong.
func TestOpenIPMIRefuses(t *testing.T) {
	sim := startOpenIPMI(t)
	sim.driver(t, func(*ipmi.Config) {}) // waits until it is there
	for _, test := range []struct {
		name, kind, user, password string
		want                       error
	}{
		{"password", ipmi.Lanplus, "admin", "secret", lan.ErrPassword},
		{"user", ipmi.Lanplus, "nobody", "s1der0", lan.ErrUser},
		{"disabled user", ipmi.Lanplus, "disabled", "s1der0", lan.ErrUser},
		// Over IPMI 2.0 it lets every user be everything.
		{"operator", ipmi.Lanplus, "oper", "s1der0", nil},
		{"password", ipmi.Lan, "admin", "secret", lan.ErrPassword},
		{"user", ipmi.Lan, "nobody", "s1der0", lan.ErrUser},
		{"disabled user", ipmi.Lan, "disabled", "s1der0", lan.ErrUser},
		{"role", ipmi.Lan, "visitor", "s1der0", lan.ErrPrivilege},
		{"operator", ipmi.Lan, "oper", "s1der0", nil},
	} {
		t.Run(test.kind+" "+test.name, func(t *testing.T) {
			driver, err := ipmi.New(ipmi.Config{
				Endpoint: "127.0.0.1", Port: sim.port, Interface: test.kind, User: test.user, Password: test.password, Wait: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer driver.Close()
			_, err = driver.State(t.Context())
			if err == nil {
				err = driver.On(t.Context())
			}
			if !errors.Is(err, test.want) || test.want != nil && power.ClassOf(err) != power.Denied {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
