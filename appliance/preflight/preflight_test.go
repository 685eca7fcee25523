package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asChild names what this test program does when a test starts it again.
const asChild = "PREFLIGHT_TEST_CHILD"

func TestMain(m *testing.M) {
	roles := map[string]func(string) error{
		"data-dir":     DataDir,
		"claim":        claimAndWait,
		"capabilities": printMissing,
	}
	role, argument, _ := strings.Cut(os.Getenv(asChild), " ")
	run, ok := roles[role]
	if !ok {
		os.Exit(m.Run())
	}
	if err := run(argument); err != nil {
		fmt.Println(err)
	}
}

// claimAndWait holds a data directory until its standard input ends.
func claimAndWait(dir string) error {
	lock, err := Claim(dir)
	if err != nil {
		return err
	}
	fmt.Println("claimed")
	bufio.NewReader(os.Stdin).ReadByte() // its end is the signal
	return lock.Release()
}

func printMissing(string) error {
	effective, err := EffectiveCapabilities()
	if err != nil {
		return err
	}
	return errors.Join(MissingCapabilities(effective, Needs([]Listener{{Network: "udp", Port: 69}}, 1024, true), "/bin/x")...)
}

// child starts this program again in a role.
func child(role string, command ...string) *exec.Cmd {
	// By this path a process of another user may start it too, wherever it is.
	command = append(command, "/proc/self/exe")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), asChild+"="+role)
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestNeeds(t *testing.T) {
	all := []Listener{{Network: "udp", Port: 67, Device: "eth0"}, {Network: "udp", Port: 67, Device: "eth1"}, {Network: "udp", Port: 69}, {Network: "tcp", Port: 6443}}
	tests := []struct {
		name      string
		listeners []Listener
		first     int
		dhcp      bool
		want      []string
	}{
		{"everything", all, 1024, true, []string{"CAP_NET_BIND_SERVICE for port 67/udp, 69/udp", "CAP_NET_RAW for answering DHCP"}},
		{"low ports are free for all", all, 0, true, []string{"CAP_NET_RAW for answering DHCP"}},
		{"no DHCP", all[2:], 1024, false, []string{"CAP_NET_BIND_SERVICE for port 69/udp"}},
		{"high ports only", all[3:], 1024, false, nil},
	}
	for _, test := range tests {
		var got []string
		for _, n := range Needs(test.listeners, test.first, test.dhcp) {
			got = append(got, n.Name+" for "+n.Why)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestDroppedCapabilities runs a process that lost some with setpriv of util-linux.
func TestDroppedCapabilities(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Fatalf("%v (Debian package util-linux)", err)
	}
	for dropped, want := range map[string][]string{
		"-net_raw":                   {"capability CAP_NET_RAW is missing, needed for answering DHCP: run as root, use the systemd unit, or: setcap cap_net_bind_service,cap_net_raw+ep /bin/x"},
		"-net_raw,-net_bind_service": {"CAP_NET_BIND_SERVICE is missing, needed for port 69/udp:", "CAP_NET_RAW is missing"},
		"-sys_time":                  {""},
	} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(setpriv, "--bounding-set="+dropped, "--inh-caps="+dropped, self)
		cmd.Env = append(os.Environ(), asChild+"=capabilities")
		got := output(t, cmd)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: got %s, want %s", dropped, got, w)
			}
		}
		if lines := strings.Count(got, "missing"); want[0] != "" && lines != len(want) || want[0] == "" && got != "" {
			t.Errorf("%s: got %s, want %d lines", dropped, got, len(want))
		}
	}
}

func TestFirstUnprivilegedPort(t *testing.T) {
	if got := FirstUnprivilegedPort(); got < 0 || got > 1024 {
		t.Errorf("got %d, want what the kernel says, 1024 by default", got)
	}
}

func TestBusyPorts(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcpPort, udpPort := tcp.Addr().(*net.TCPAddr).Port, udp.LocalAddr().(*net.UDPAddr).Port
	free := freePort(t)
	tests := []struct {
		name     string
		listener Listener
		want     string
	}{
		{"tcp, all addresses", Listener{Network: "tcp", Port: tcpPort, Cure: "choose another port with --secure-port"},
			fmt.Sprintf("port %d/tcp is in use: find the holder with: ss -lntp 'sport = :%d' and stop it, or choose another port with --secure-port", tcpPort, tcpPort)},
		{"tcp, one address", Listener{Network: "tcp", Host: "127.0.0.1", Port: tcpPort}, "and stop it"},
		{"udp", Listener{Network: "udp", Port: udpPort},
			fmt.Sprintf("port %d/udp is in use: find the holder with: ss -lnup 'sport = :%d' and stop it", udpPort, udpPort)},
		{"udp on a device", Listener{Network: "udp", Port: udpPort, Device: "lo"}, fmt.Sprintf("port %d/udp on lo is in use", udpPort)},
		{"tcp, free", Listener{Network: "tcp", Port: free}, ""},
		{"udp, free", Listener{Network: "udp", Port: free}, ""},
		{"no such device", Listener{Network: "udp", Port: free, Device: "nowhere0"}, `see with "ip link" whether nowhere0 is still there`},
		{"no such address", Listener{Network: "udp", Host: "192.0.2.77", Port: free}, `see with "ip address" whether 192.0.2.77 is still there`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Twice, because a check must not hold what it checks.
			for range 2 {
				err := errors.Join(BusyPorts(t.Context(), []Listener{test.listener})...)
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("error is\n     %v\nwant %s", err, test.want)
				}
			}
		})
	}
}

func TestServerOnAnotherInterfaceIsNotInTheWay(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread and its namespace end with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make network namespace: %v (run the tests as root)", err)
	}
	for _, args := range []string{"link set lo up", "link add a0 type veth peer name b0", "link set a0 up", "link set b0 up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s (Debian package iproute2)", args, err, out)
		}
	}
	other := Listener{Network: "udp", Port: 67, Device: "b0"}
	config := net.ListenConfig{Control: other.bindToDevice}
	c, err := config.ListenPacket(t.Context(), "udp4", ":67")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if errs := BusyPorts(t.Context(), []Listener{{Network: "udp", Port: 67, Device: "a0"}}); errs != nil {
		t.Errorf("on a0: %v, want none", errs)
	}
	if errs := BusyPorts(t.Context(), []Listener{other}); len(errs) != 1 {
		t.Errorf("on b0: %v, want one", errs)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestDataDir(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(root, "a", "b")
	for range 2 {
		if err := DataDir(fresh); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(fresh)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made with mode %v (%v), want 0700", info.Mode(), err)
	}
	if left, err := os.ReadDir(fresh); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	checkError(t, DataDir(file), "there is a file in the way: choose another with --data-dir")
	checkError(t, DataDir(filepath.Join(file, "below")), "there is a file in the way")
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is\n     %v\nwant one line with %s", err, want)
	}
}

// TestDataDirOfSomebodyElse asks as another user.
func TestDataDirOfSomebodyElse(t *testing.T) {
	const nobody = 65534
	root, err := os.MkdirTemp("", "preflight")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	for dir, mode := range map[string]os.FileMode{"": 0o755, "closed": 0o700, "readable": 0o755, "theirs": 0o700} {
		path := filepath.Join(root, dir)
		if err := errors.Join(os.MkdirAll(path, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	theirs := filepath.Join(root, "theirs")
	if err := errors.Join(os.Chown(theirs, nobody, nobody), os.Mkdir(filepath.Join(theirs, "etcd"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"closed":   "cannot read data directory " + root + "/closed: user 65534 may not: run as root, or give it to that user with: chown -R 65534:65534 " + root + "/closed",
		"readable": "cannot write to data directory " + root + "/readable: user 65534 may not",
		"new":      "cannot make data directory " + root + "/new: user 65534 may not: run as root, or give it to that user with: install -d -m 700 -o 65534 -g 65534 " + root + "/new",
		"theirs":   "cannot use " + root + "/theirs/etcd: user 65534 may not: run as root, or give the data directory to that user with: chown -R 65534:65534 " + root + "/theirs",
	} {
		cmd := child("data-dir " + filepath.Join(root, dir))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = "/"
		if got := output(t, cmd); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s:\n got %s\nwant %s", dir, got, want)
		}
	}
}

func TestDataDirOnBadFileSystems(t *testing.T) {
	dir := t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread and its mounts end with the test
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		t.Fatalf("make mount namespace: %v (run the tests as root)", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	mount := func(flags uintptr, options string) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	mount(unix.MS_RDONLY, "")
	checkError(t, DataDir(dir), "cannot write to data directory "+dir+": its file system is read-only: as a service, add ReadWritePaths="+dir+" below [Service] with: systemctl edit sidero-appliance; else remount it, or choose another with --data-dir")
	checkError(t, DataDir(filepath.Join(dir, "new")), "cannot make data directory "+dir+"/new: its file system is read-only: as a service, add ReadWritePaths="+dir+" below")
	mount(0, "size=100m")
	checkError(t, DataDir(dir), "the file system of data directory "+dir+" is full: 100 MiB are free, 128 MiB are needed")
	mount(0, "size=1m")
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	checkError(t, DataDir(dir), "cannot write to data directory "+dir+": its file system is full: free 128 MiB")
	mount(0, "size=200m")
	if err := DataDir(dir); err != nil {
		t.Errorf("a good file system: %v", err)
	}
}

func TestSecondInstance(t *testing.T) {
	dir := t.TempDir()
	cmd := child("claim " + dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || first != "claimed\n" {
		t.Fatalf("the first instance says %q (%v)", first, err)
	}
	_, err = Claim(dir)
	checkError(t, err, fmt.Sprintf("data directory %s is in use by another sidero-appliance (process %d): stop it, or choose another with --data-dir", dir, cmd.Process.Pid))
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	lock, err := Claim(dir)
	if err != nil {
		t.Fatalf("after the first instance ended: %v", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil || string(data) != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("the lock file says %q (%v)", data, err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestKilledInstanceLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	cmd := child("claim " + dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // it was killed
	lock, err := Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestHolderIsNamedOnlyIfItIsANumber(t *testing.T) {
	for text, want := range map[string]string{"123\n": " (process 123)", "": "", "rm -rf\n": "", "1\x1b[2J": ""} {
		path := filepath.Join(t.TempDir(), lockFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := holder(f); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		f.Close()
	}
}
