//go:build e2e

package lab_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// wayToDie in the environment makes TestLabOfAnotherProcess that other process.
const wayToDie = "LAB_TEST_WAY_TO_DIE"

func TestNothingIsLeftOfALabWhoseProcess(t *testing.T) {
	for _, way := range []string{"is killed", "panics", "exits without Close", "closes it"} {
		t.Run(way, func(t *testing.T) {
			before := interfaces(t)
			child, stdin, stdout := startChild(t, way)
			if _, err := stdout.ReadString('\n'); err != nil {
				t.Fatalf("the other process did not build its lab: %v", err)
			}
			processes := childrenOf(t, child.Process.Pid)
			for _, name := range []string{"qemu-system-x86", "dnsmasq", "sleep"} {
				if !slices.ContainsFunc(processes, func(p *witness) bool { return p.name == name }) {
					t.Errorf("the lab runs no %s", name)
				}
			}
			namespaces := namespacesOf(t, child.Process.Pid)
			if len(namespaces) != 2 || len(holders(t, namespaces)) == 0 {
				t.Fatalf("the lab has the namespaces %v, want two that somebody holds", namespaces)
			}

			if way == "is killed" {
				child.Process.Kill()
			} else {
				fmt.Fprintln(stdin, "now")
			}
			_ = child.Wait()
			for _, process := range processes {
				process.waitGone(t)
			}
			if held := holders(t, namespaces); len(held) != 0 {
				t.Errorf("namespaces are held by %v", held)
			}
			if after := interfaces(t); !slices.Equal(before, after) {
				t.Errorf("interfaces of the host: %v, before: %v", after, before)
			}
		})
	}
}

// TestLabOfAnotherProcess is no test unless wayToDie is set.
func TestLabOfAnotherProcess(t *testing.T) {
	way := os.Getenv(wayToDie)
	if way == "" {
		return
	}
	ctx := t.Context()
	l, err := lab.New(ctx, lab.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.PowerOn(ctx, lab.Machine{Name: "m", Memory: 128, Capture: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Start(l.Command(ctx, "sleep", "infinity")); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, "ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	switch way {
	case "panics":
		panic("as the test wants")
	case "exits without Close":
		os.Exit(1)
	case "closes it":
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func startChild(t *testing.T, way string) (*exec.Cmd, io.Writer, *bufio.Reader) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestLabOfAnotherProcess$")
	child.Env = append(os.Environ(), wayToDie+"="+way, "TMPDIR="+t.TempDir())
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill() })
	return child, stdin, bufio.NewReader(stderr)
}

// witness is a process of somebody else whose end can be waited for.
type witness struct {
	pid, handle int
	name        string
}

// childrenOf lists the processes that any thread of pid has started.
func childrenOf(t *testing.T, pid int) []*witness {
	t.Helper()
	var found []*witness
	for _, file := range glob(t, fmt.Sprintf("/proc/%d/task/*/children", pid)) {
		children, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(children)) {
			child, _ := strconv.Atoi(field)
			handle, err := unix.PidfdOpen(child, 0)
			if err != nil {
				t.Fatalf("open process %d: %v", child, err)
			}
			t.Cleanup(func() {
				_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0) // in case the test has failed
				unix.Close(handle)
			})
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
			found = append(found, &witness{pid: child, handle: handle, name: string(bytes.TrimSpace(name))})
		}
	}
	return found
}

func (w *witness) waitGone(t *testing.T) {
	t.Helper()
	const patience = 10 * time.Second
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.handle), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n != 1 {
			t.Errorf("%s (pid %d) outlives its lab: %v", w.name, w.pid, err)
		}
		return
	}
}

// namespacesOf lists the network namespaces of pid's threads that are not ours.
func namespacesOf(t *testing.T, pid int) []string {
	t.Helper()
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range glob(t, fmt.Sprintf("/proc/%d/task/*/ns/net", pid)) {
		if name, err := os.Readlink(link); err == nil && name != ours && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}

// holders lists what keeps one of the namespaces alive: threads, open files, mounts.
func holders(t *testing.T, namespaces []string) []string {
	t.Helper()
	var found []string
	for _, link := range append(glob(t, "/proc/[0-9]*/task/*/ns/net"), glob(t, "/proc/[0-9]*/fd/*")...) {
		if name, err := os.Readlink(link); err == nil && slices.Contains(namespaces, name) {
			found = append(found, link)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range namespaces {
		if bytes.Contains(mounts, []byte(name)) {
			found = append(found, "a mount of "+name)
		}
	}
	return found
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// interfaces names the host's interfaces that could be a lab's.
func interfaces(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, link := range all {
		if strings.HasPrefix(link.Name, "vm") || strings.HasPrefix(link.Name, "port") || link.Name == lab.Interface {
			names = append(names, link.Name)
		}
	}
	return names
}

func TestLabWithoutRootSaysSo(t *testing.T) {
	// root, but without the capability: the test binary is in a folder of root's.
	child := exec.Command("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin",
		os.Args[0], "-test.run=^TestLabOfAnotherProcess$")
	child.Env = append(os.Environ(), wayToDie+"=closes it")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run it as root") {
		t.Errorf("%v: %s", err, out)
	}
}
