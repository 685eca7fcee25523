package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// The lab's network, the same in every lab.
const (
	Interface        = "br0"           // what the appliance serves machines on
	ApplianceAddress = "172.30.0.1"    // the address of Interface
	LANAddress       = "172.30.0.254"  // the LAN's DHCP server
	Subnet           = "172.30.0.0/24" // the LAN
	firstLease       = "172.30.0.50"
	lastLease        = "172.30.0.150"
)

// Config says where a lab keeps its files, and what its LAN is like.
type Config struct {
	// Dir receives the logs, consoles, captures, firmware variables and disks,
	// one folder a machine. It is made if missing, and stays after Close. A
	// machine that is powered on again in the same Dir has the disks and
	// firmware variables it had.
	Dir string
	// LAN is further configuration of the LAN's DHCP server, in the language of
	// dnsmasq's files. Without it the LAN says nothing about booting.
	LAN string
	// Logger is told what the lab does; nil means nobody is.
	Logger *slog.Logger
}

// Lab is one LAN with everything on it. It is itself the Node that the appliance
// runs on.
type Lab struct {
	*Node
	// LANLog is what the LAN's DHCP server says, every DHCP message included.
	LANLog *Transcript

	dir    string
	logger *slog.Logger

	mu       sync.Mutex
	attached []*Node
	captures []*Capture
	vms      map[string]*VM // all that have not been tidied up
	closed   bool
}

// New builds the LAN and returns when its DHCP server answers. ctx bounds only
// that. The lab has to be closed.
func New(ctx context.Context, config Config) (*Lab, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if err := installed(); err != nil {
		return nil, fmt.Errorf("build lab: %w", err)
	}
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("build lab: %w", err)
	}
	host, err := newNode("the lab")
	if err != nil {
		return nil, fmt.Errorf("build lab: %w", err)
	}
	l := &Lab{Node: host, dir: config.Dir, logger: config.Logger, vms: map[string]*VM{}}
	if err := errors.Join(l.buildBridge(ctx), l.startLAN(ctx, config.LAN)); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w", err), l.Close())
	}
	l.logger.Info("lab is up", "path", l.dir, "interface", Interface, "address", ApplianceAddress)
	return l, nil
}

// buildBridge makes the LAN's switch. A bridge by default delays each new port by
// 15 s, in which firmware gives up on DHCP, and drops the LLDP frames that a
// switch of a data centre sends (group_fwd_mask 0x4000 lets them through).
func (l *Lab) buildBridge(ctx context.Context) error {
	err := l.ip(ctx, `link set lo up
		link add br0 type bridge stp_state 0 forward_delay 0 group_fwd_mask 0x4000`)
	if err != nil {
		return err
	}
	// The LAN's router advertisements are for the machines' firmware; the
	// appliance's set of addresses shall not depend on when one comes.
	if err := l.sysctl("ipv6/conf/"+Interface+"/accept_ra", "0"); err != nil {
		return err
	}
	return l.ip(ctx, `address add 172.30.0.1/24 dev br0
		link set br0 up`)
}

// Attach adds a computer without an address to the LAN. Its one interface is
// eth0, which a DHCP client or ip(8) may give one. Programs on it stand for
// machines where a virtual one is too dear. It ends with the lab.
func (l *Lab) Attach(ctx context.Context, name string) (*Node, error) {
	node, err := newNode(name)
	if err != nil {
		return nil, fmt.Errorf("attach %s to the LAN: %w", name, err)
	}
	l.mu.Lock()
	l.attached = append(l.attached, node)
	port := fmt.Sprintf("port%d", len(l.attached))
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil, errors.Join(fmt.Errorf("attach %s to the LAN: the lab is closed", name), node.Close())
	}
	err = l.ip(ctx, "link add "+port+" type veth peer name eth0 netns /proc/self/fd/3\n"+asPort(port), node)
	if err != nil {
		return nil, err
	}
	return node, node.ip(ctx, "link set lo up\nlink set eth0 up")
}

// Close stops every program of the lab by its pid, the last started first, so
// that the machines lose power before the appliance stops, and the LAN goes last;
// then it lets the namespaces go. It may be called again.
func (l *Lab) Close() error {
	l.mu.Lock()
	l.closed = true
	vms, attached, captures := slices.Collect(maps.Values(l.vms)), l.attached, l.captures
	l.attached, l.captures = nil, nil
	l.mu.Unlock()

	problems := []error{l.Node.Close()}
	for _, vm := range vms {
		<-vm.off
	}
	for _, node := range slices.Backward(attached) {
		problems = append(problems, node.Close())
	}
	for _, capture := range captures {
		problems = append(problems, capture.Stop())
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("close lab: %w", err)
	}
	l.logger.Info("lab is closed", "path", l.dir)
	return nil
}

// folder is where the named machine or service keeps its files.
func (l *Lab) folder(name string) (string, error) {
	path := filepath.Join(l.dir, name)
	return path, os.MkdirAll(path, 0o755)
}
