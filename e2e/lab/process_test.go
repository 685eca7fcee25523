package lab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestProcessTellsHowItEnded(t *testing.T) {
	p, _ := startShell(t, t.Context(), "exit 3")
	var exit *exec.ExitError
	if err := p.Wait(t.Context()); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("got %v, want exit status 3", err)
	}
	if err := p.Stop(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("stopped after its end: %v, want exit status 3", err)
	}
}

func TestProcessIsAskedToEnd(t *testing.T) {
	for name, script := range map[string]string{
		"by itself":     "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done",
		"of the signal": "echo ready; exec sleep 1000",
	} {
		t.Run(name, func(t *testing.T) {
			p, out := startShell(t, t.Context(), script)
			readLine(t, out)
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProcessThatDoesNotEndIsKilled(t *testing.T) {
	p, out := startShell(t, t.Context(), "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	readLine(t, out)
	p.grace = 50 * time.Millisecond
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	if !p.ended() {
		t.Error("it is still there")
	}
}

func TestProcessTakesItsChildrenAlong(t *testing.T) {
	p, out := startShell(t, t.Context(), "sleep 1000 & echo $!; read end")
	child, err := strconv.Atoi(readLine(t, out))
	if err != nil {
		t.Fatal(err)
	}
	handle, err := unix.PidfdOpen(child, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(handle)
	p.Signal(syscall.SIGKILL)
	<-p.Done()
	var n int
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, 10_000)
	}
	if n != 1 || err != nil {
		t.Errorf("its child (pid %d) is still there: %v", child, err)
	}
}

func TestProcessEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, out := startShell(t, ctx, "echo ready; exec sleep 1000")
	readLine(t, out)
	cancel()
	if err := p.Wait(t.Context()); err == nil || err.Error() != "signal: killed" {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithItsContextOnly(t *testing.T) {
	p, out := startShell(t, t.Context(), "echo ready; exec sleep 1000")
	readLine(t, out)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) || p.ended() {
		t.Errorf("got %v, ended: %v", err, p.ended())
	}
}

// startShell starts a script of sh in the host's network; its input stays open.
func startShell(t *testing.T, ctx context.Context, script string) (*Process, *bufio.Reader) {
	t.Helper()
	runtime.LockOSThread() // the process dies with the thread that forked it
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	reader, writer := io.Pipe()
	cmd.Stdout = writer
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(cmd, func(start func() error) error { return start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reader.Close()
		p.Kill()
	})
	return p, bufio.NewReader(reader)
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
