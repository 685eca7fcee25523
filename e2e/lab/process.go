package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopGrace is how long a program may take to end after SIGTERM before it is
// killed: the appliance is allowed 10 s, and the computers that test it are slow.
const stopGrace = 20 * time.Second

// outputGrace is how long a program's output may stay open after its end, by a
// daemon that it has left.
const outputGrace = 2 * time.Second

// errStartInLab refuses a command that is started by itself: it would run in the
// host's network, where a DHCP server does real harm.
var errStartInLab = errors.New("start a lab's command with its Start or Run: by itself it would run outside of the namespace")

// Process is a program running on a Node.
type Process struct {
	Pid int

	name  string
	grace time.Duration // before Stop kills; 0 is at once, for who has nothing to lose
	done  chan struct{}
	err   error // of the program's end; valid once done is closed

	mu     sync.Mutex // orders signals before the pid is given back
	reaped bool
}

// startProcess starts cmd by way of fork, which picks the thread that does it.
func startProcess(cmd *exec.Cmd, fork func(start func() error) error) (*Process, error) {
	if errors.Is(cmd.Err, errStartInLab) {
		cmd.Err = nil
	}
	name := filepath.Base(cmd.Args[0])
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// A group of its own: an interrupt typed at the terminal then reaches only
	// us, who know the order to stop in, and our signals reach its children.
	cmd.SysProcAttr.Setpgid = true
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = outputGrace
	}
	if err := fork(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, explainMissing(name, err))
	}
	p := &Process{Pid: cmd.Process.Pid, name: name, grace: stopGrace, done: make(chan struct{})}
	go p.reap(cmd)
	return p, nil
}

// reap waits for the program's end and ends what it left running in its group.
// Until cmd.Wait the kernel keeps the pid, so the group is surely ours.
func (p *Process) reap(cmd *exec.Cmd) {
	defer close(p.done)
	for errors.Is(unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Kill(-p.Pid, unix.SIGKILL)
	p.err = cmd.Wait()
	p.reaped = true
}

// Signal sends sig to the program and its children. A program that has ended is
// no error.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.Pid, sig)
	}
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for the program's end and returns how it ended, as exec.Cmd.Wait
// does, or the context's error.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s (pid %d): %w", p.name, p.Pid, ctx.Err())
	}
}

// Stop asks the program to end (SIGTERM), kills it when it has not after 20 s,
// and returns once it is gone: nil when it exited by itself with status 0 or of
// our signal.
func (p *Process) Stop() error {
	if p.grace == 0 {
		p.Kill()
		return nil
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(p.grace):
		p.Kill()
		return fmt.Errorf("stop %s (pid %d): it did not end within %s of SIGTERM and was killed", p.name, p.Pid, p.grace)
	}
	return p.exitError()
}

// Kill ends the program with SIGKILL and returns once it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// exitError is how the program ended, unless by SIGTERM.
func (p *Process) exitError() error {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	if p.err != nil {
		return fmt.Errorf("stop %s (pid %d): %w", p.name, p.Pid, p.err)
	}
	return nil
}
