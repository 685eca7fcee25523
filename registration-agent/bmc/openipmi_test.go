package bmc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/ipmisim"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// startSim starts OpenIPMI's BMC with an administrator of somebody else's, and logs that one in: what a machine asks from
// inside is the same as what an administrator asks.
func startSim(t *testing.T) (session *lan.Session, port uint16) {
	t.Helper()
	if _, err := exec.LookPath("ipmi_sim"); err != nil {
		t.Fatal("ipmi_sim is not installed: run \"make deps\"")
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	_ = conn.Close()
	config := ipmisim.Config{
		Folder: t.TempDir(), Address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), Says: netip.MustParseAddr("10.0.9.7"),
		Users: []ipmisim.User{{Name: "root", Password: "theirs", Privilege: "admin"}}, Chassis: "#!/bin/sh\necho power:1\n",
	}
	arguments, err := config.Write()
	if err != nil {
		t.Fatal(err)
	}
	command := ipmisim.Command(config.Folder, arguments)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	// It listens a moment after it has started.
	for end := time.Now().Add(10 * time.Second); ; {
		session, err = lan.Dial(t.Context(), lan.Config{
			Address: config.Address.String(), User: "root", Password: "theirs", Wait: 300 * time.Millisecond, Suites: []lan.Suite{3},
		})
		if err == nil {
			return session, port
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// login is how the appliance logs in, and other people do.
func login(t *testing.T, port uint16, user, password string) error {
	t.Helper()
	driver, err := ipmi.New(ipmi.Config{Endpoint: "127.0.0.1", Port: int(port), User: user, Password: password, Wait: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	state, failed := driver.State(t.Context())
	if failed == nil && state != power.On {
		t.Errorf("state is %s", state)
	}
	tool := exec.CommandContext(t.Context(), "ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", fmt.Sprint(port),
		"-U", user, "-P", password, "-R", "1", "-N", "1", "-L", "ADMINISTRATOR", "chassis", "power", "status")
	text, err := tool.CombinedOutput()
	if said := err == nil && strings.Contains(string(text), "Chassis Power is on"); said != (failed == nil) {
		t.Errorf("the driver says %v, ipmitool %v, %s", failed, err, text)
	}
	return failed
}

// TestOpenIPMI holds the whole of it to a BMC that we did not write.
func TestOpenIPMI(t *testing.T) {
	session, port := startSim(t)
	first, err := Make(t.Context(), session, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	if first.Address.IP.String() != "10.0.9.7" || first.Address.Channel != 1 || first.Address.Source != "static" || len(first.Notes) > 0 {
		t.Errorf("account is %+v", first)
	}
	if err := login(t, port, first.User, first.Password); err != nil {
		t.Fatal(err)
	}
	second, err := Make(t.Context(), session, Wish{UserInUse: first.User})
	if err != nil {
		t.Fatal(err)
	}
	for name, account := range map[string]*Account{"old": first, "new": second, "theirs": {User: "root", Password: "theirs"}} {
		if err := login(t, port, account.User, account.Password); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := second.Former.Disable(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if err := login(t, port, first.User, first.Password); !errors.Is(err, lan.ErrUser) {
		t.Errorf("the old user logs in, %v", err)
	}
	third, err := Make(t.Context(), session, Wish{UserInUse: second.User})
	if err != nil || third.User != first.User {
		t.Fatalf("%+v, %v", third, err)
	}
	for name, account := range map[string]*Account{"third": third, "theirs": {User: "root", Password: "theirs"}} {
		if err := login(t, port, account.User, account.Password); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
