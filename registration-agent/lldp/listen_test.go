package lldp

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// settings have lldpd say what switches say.
const settings = `configure system hostname sw-7
configure ports port1 lldp portidsubtype local ge-0/0/7
configure ports port1 lldp portdescription "to the machine"
configure ports port1 lldp custom-tlv oui 00,80,c2 subtype 1 oui-info 00,2a
configure lldp tx-interval 1
`

// TestPeer hears Debian's lldpd at the other end of a cable.
func TestPeer(t *testing.T) {
	for program, pkg := range map[string]string{"ip": "iproute2", "lldpd": "lldpd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: install the package %s", program, pkg)
		}
	}
	namespace := fmt.Sprintf("lldp-%d", os.Getpid())
	ip := func(args ...string) {
		t.Helper()
		if said, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, said)
		}
	}
	ip("netns", "add", namespace)
	t.Cleanup(func() { ip("netns", "del", namespace) })

	runtime.LockOSThread() // never unlocked: the thread and its namespace end with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a namespace: %v: run as root", err)
	}
	ip("link", "add", "eth0", "type", "veth", "peer", "name", "port1", "netns", namespace)
	ip("link", "set", "eth0", "up")
	ip("-n", namespace, "link", "set", "port1", "up")
	startSwitch(t, namespace)

	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	listener := NewListener()
	if list, known := listener.Neighbours(eth0.Index); len(list) > 0 || known {
		t.Errorf("before it listens: %+v, %t", list, known)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	heard := make(chan []Announcement, 1)
	go func() {
		defer cancel()
		heard <- await(ctx, listener, eth0.Index)
	}()
	// In this goroutine, whose thread is in the machine's namespace.
	if err := listener.Run(ctx); err != nil {
		t.Fatal(err)
	}

	list := <-heard
	if len(list) != 1 {
		t.Fatalf("heard %+v", list)
	}
	got := list[0]
	if _, err := net.ParseMAC(got.ChassisID); err != nil || got.TTL <= 0 {
		t.Errorf("got %+v", got)
	}
	got.ChassisID, got.TTL = "", 0
	if want := (Announcement{PortID: "ge-0/0/7", SystemName: "sw-7", PortDescription: "to the machine", VLAN: 42}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// await waits until the switch has said all that it is told to.
func await(ctx context.Context, listener *Listener, index int) (list []Announcement) {
	for ctx.Err() == nil {
		list, _ = listener.Neighbours(index)
		if len(list) == 1 && list[0].VLAN > 0 && list[0].PortID == "ge-0/0/7" && list[0].PortDescription == "to the machine" {
			return list
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return list
}

func startSwitch(t *testing.T, namespace string) {
	t.Helper()
	// lldpd talks to itself there as another user.
	dir, err := os.MkdirTemp("", "lldpd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "lldpd.conf")
	if err := os.WriteFile(config, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", namespace, "lldpd", "-d", "-u", filepath.Join(dir, "socket"), "-I", "port1", "-O", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("lldpd says: %s", said.String())
		}
	})
}
