package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// Node is a computer on the lab's LAN that has no hardware: a network namespace
// and the programs running in it.
type Node struct {
	name string
	ns   *namespace

	mu        sync.Mutex
	processes []*Process // in the order of their start
}

func newNode(name string) (*Node, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	return &Node{name: name, ns: ns}, nil
}

// Command prepares a program to run on the node, as exec.CommandContext does:
// ctx ends the program. It refuses to start by any other way than the node's
// Start and Run.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	if cmd.Err == nil {
		cmd.Err = errStartInLab
	}
	return cmd
}

// Start starts the command on the node. The node stops it when it is closed, and
// reaps it: the caller waits with the Process, not with cmd.Wait.
func (n *Node) Start(cmd *exec.Cmd) (*Process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := startProcess(cmd, n.ns.onForkThread)
	if err != nil {
		return nil, err
	}
	n.processes = append(slices.DeleteFunc(n.processes, (*Process).ended), p)
	return p, nil
}

// startLogged is Start for a command whose transcripts end with it.
func (n *Node) startLogged(cmd *exec.Cmd, logs ...*Transcript) (*Process, error) {
	p, err := n.Start(cmd)
	closeLogs := func() {
		for _, log := range logs {
			_ = log.Close()
		}
	}
	if err != nil {
		closeLogs()
		return nil, err
	}
	go func() {
		<-p.Done()
		closeLogs()
	}()
	return p, nil
}

// Run starts the command on the node and waits for its end.
func (n *Node) Run(cmd *exec.Cmd) error {
	p, err := n.Start(cmd)
	if err != nil {
		return err
	}
	return p.Wait(context.Background()) // ended by the command's own context
}

// Dial connects from this process as if it ran on the node. It fits
// http.Transport.DialContext and rest.Config.Dial.
func (n *Node) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if err := refuseNames(network, address); err != nil {
		return nil, err
	}
	err = n.Inside(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen accepts connections in this process as if it ran on the node.
func (n *Node) Listen(ctx context.Context, network, address string) (listener net.Listener, err error) {
	if err := refuseNames(network, address); err != nil {
		return nil, err
	}
	err = n.Inside(func() error {
		listener, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return listener, err
}

// ListenPacket receives datagrams in this process as if it ran on the node.
func (n *Node) ListenPacket(ctx context.Context, network, address string) (conn net.PacketConn, err error) {
	if err := refuseNames(network, address); err != nil {
		return nil, err
	}
	err = n.Inside(func() error {
		conn, err = (&net.ListenConfig{}).ListenPacket(ctx, network, address)
		return err
	})
	return conn, err
}

// refuseNames keeps package net on the calling thread: a name with several
// addresses, as localhost has, it dials from goroutines in the host's network.
func refuseNames(network, address string) error {
	if strings.HasPrefix(network, "unix") {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("use lab network: %w", err)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return fmt.Errorf("use lab network: address %q: there are no names in the lab, use an IP address", address)
	}
	return nil
}

// Inside runs visit on an OS thread inside the node's namespace: sockets that
// visit opens itself, not in goroutines it starts, belong to the node.
func (n *Node) Inside(visit func() error) error { return n.ns.inside(visit) }

// ip applies commands of ip(8), one a line, in the node's namespace. In them,
// /proc/self/fd/3 and up are the namespaces of the given nodes.
func (n *Node) ip(ctx context.Context, commands string, others ...*Node) error {
	cmd := n.Command(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(commands)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	for _, other := range others {
		cmd.ExtraFiles = append(cmd.ExtraFiles, other.ns.file)
	}
	if err := n.Run(cmd); err != nil {
		return fmt.Errorf("set up network of %s: %w: %s", n.name, err, strings.TrimSpace(complaints.String()))
	}
	return nil
}

// sysctl sets a network parameter of the node's namespace.
func (n *Node) sysctl(path, value string) error {
	return n.Inside(func() error {
		if err := os.WriteFile("/proc/sys/net/"+path, []byte(value), 0o644); err != nil {
			return fmt.Errorf("set up network of %s: %w", n.name, err)
		}
		return nil
	})
}

// Close stops the node's programs, the last started first, and lets go of the
// namespace. Its Lab does so too.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var problems []error
	for _, p := range slices.Backward(n.processes) {
		if !p.ended() {
			problems = append(problems, p.Stop())
		}
	}
	n.processes = nil
	n.ns.close()
	return errors.Join(problems...)
}
