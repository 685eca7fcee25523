// Package console is what a person sees of the registration agent: log lines and one
// status screen, on every console of the kernel and on the first virtual terminal,
// with a copy of the log in the kernel's ring buffer.
//
// Lines begin with the time since the kernel started, so that a boot can be split by
// stage from a serial log. Nothing is read from a console.
package console

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// The lines that tests and people wait for. They are part of the agent's interface: a
// change breaks whoever watches a serial log for them.
const (
	Prefix = "sidero-agent: "

	Started    = "started"
	NetworkUp  = "network up"
	Registered = "registered"

	LineStarted    = Prefix + Started
	LineNetworkUp  = Prefix + NetworkUp
	LineRegistered = Prefix + Registered + " server=" // followed by the server's name
)

// backlog is how many writes wait for a slow console before further ones are dropped.
const backlog = 512

// Console writes to several terminals. A terminal that is slow or stuck (a serial
// line whose other end holds back) loses text and delays nobody.
type Console struct {
	lines []chan []byte
	kmsg  io.Writer
}

// Open opens the consoles of the running kernel. One that cannot be opened is left
// out, because there is nowhere to complain.
func Open(sys fs.FS) *Console {
	var terminals []io.Writer
	active, _ := fs.ReadFile(sys, "class/tty/console/active")
	for _, name := range terminalNames(string(active)) {
		if terminal, err := open("/dev/" + name); err == nil {
			terminals = append(terminals, terminal)
		}
	}
	if len(terminals) == 0 {
		terminals = append(terminals, os.Stdout)
	}
	var kmsg io.Writer = io.Discard
	if ring, err := open("/dev/kmsg"); err == nil {
		kmsg = ring
	}
	return New(kmsg, terminals...)
}

// terminalNames are the active consoles and the visible virtual terminal: a machine
// told to use its serial line may still have a monitor.
func terminalNames(active string) []string {
	names := strings.Fields(active)
	if !slices.Contains(names, "tty0") {
		names = append(names, "tty0")
	}
	return names
}

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|syscall.O_NOCTTY, 0)
}

// New makes a console of terminals; log lines go to kmsg as well.
func New(kmsg io.Writer, terminals ...io.Writer) *Console {
	c := &Console{kmsg: kmsg}
	for _, terminal := range terminals {
		line := make(chan []byte, backlog)
		c.lines = append(c.lines, line)
		go drain(line, terminal)
	}
	return c
}

func drain(line <-chan []byte, terminal io.Writer) {
	for text := range line {
		// A console can fail for a while (a hung-up serial line) and come back.
		_, _ = terminal.Write(text)
	}
}

// Close ends the terminals' writers. Nothing may be written after it.
func (c *Console) Close() {
	for _, line := range c.lines {
		close(line)
	}
}

// Write sends text to all terminals; it never fails.
func (c *Console) Write(text []byte) (int, error) {
	owned := slices.Clone(text)
	for _, line := range c.lines {
		select {
		case line <- owned:
		default:
		}
	}
	return len(text), nil
}

// kmsgDebug is the priority of the copies in the kernel's ring buffer, facility daemon
// and level debug: the kernel prints levels below that on the same consoles again.
const kmsgDebug = 3<<3 | 7

// record puts one line into the kernel's ring buffer.
func (c *Console) record(line string) {
	_, _ = fmt.Fprintf(c.kmsg, "<%d>%s", kmsgDebug, line)
}
