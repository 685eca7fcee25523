// Package talosapi asks Talos nodes for things by their machine API, gRPC on port 50000 with certificates of the cluster's own
// authority on both sides. The messages are those of github.com/siderolabs/talos/pkg/machinery; its client is not used, because
// that brings sign-in by OpenPGP, which no cluster here has.
//
// Package talostest below this one is a double of nodes for tests.
package talosapi

import (
	"context"
	"errors"
)

// Errors that callers tell apart. Each wraps what the node or the network said.
var (
	// ErrUnreachable is that of a node that does not answer, or not as one of its cluster.
	ErrUnreachable = errors.New("node cannot be reached")
	// ErrBootstrapped is that of a node that is to bootstrap and has data of etcd already.
	ErrBootstrapped = errors.New("node has data of etcd already")
	// ErrNotReady is that of a node that cannot do it yet, such as one that still installs itself.
	ErrNotReady = errors.New("node is not ready for this")
)

// Node is the machine API of one node. Every call ends after some seconds, even when ctx does not.
type Node interface {
	// Version is the release of Talos that the node runs, such as v1.13.6.
	Version(ctx context.Context) (string, error)
	// Services are the node's own, such as etcd and kubelet.
	Services(ctx context.Context) ([]Service, error)

	// Bootstrap has the node begin an etcd cluster of its own, which only one node of a cluster may ever do.
	Bootstrap(ctx context.Context) error
	// EtcdMembers are those of the cluster as the node knows them; without a majority there is no answer.
	EtcdMembers(ctx context.Context) ([]Member, error)
	// EtcdStatus is that of the node's own member.
	EtcdStatus(ctx context.Context) (EtcdStatus, error)
	// EtcdData tells whether the node has data of etcd, also while etcd does not run.
	EtcdData(ctx context.Context) (bool, error)
	// EtcdForfeitLeadership has another member lead, if the node's does.
	EtcdForfeitLeadership(ctx context.Context) error
	// EtcdLeave has the node's member leave the cluster; its data go, too.
	EtcdLeave(ctx context.Context) error
	// EtcdRemoveMember removes the member of another node, which may be gone.
	EtcdRemoveMember(ctx context.Context, id uint64) error

	// Configuration is the machine configuration that the node runs by, as it was given to it. It holds secrets.
	Configuration(ctx context.Context) ([]byte, error)
	// Configure has the node run by another configuration at once. One that would need a restart is refused.
	Configure(ctx context.Context, configuration []byte) error

	// Reset wipes the node.
	Reset(ctx context.Context, how Reset) error
	// Reboot restarts the node.
	Reboot(ctx context.Context) error
	// Upgrade installs another release of Talos, from an installer's image, and restarts the node.
	Upgrade(ctx context.Context, image string) error

	// Close ends the connection.
	Close() error
}

// Dialer connects to a node: the configuration is one for talosctl, whose endpoints do not matter, the address an IP address or a name,
// with a port or without. It fails when the configuration cannot be used; whether there is a node is seen by the first call.
type Dialer func(configuration []byte, address string) (Node, error)

// Service is one of a node's.
type Service struct {
	// ID such as etcd.
	ID string
	// State such as Running, Finished or Waiting.
	State string
	// Healthy tells whether the service's own check is passed. One without a check is healthy when it runs.
	Healthy bool
	// Message is the last of the check, for people.
	Message string
}

// Member is one of an etcd cluster.
type Member struct {
	ID       uint64
	Hostname string
	// PeerURLs are where the others reach it.
	PeerURLs []string
	// Learner is one that has no vote yet.
	Learner bool
}

// EtcdStatus is that of one member.
type EtcdStatus struct {
	ID uint64
	// Leader is the ID of the member that leads, 0 if there is none.
	Leader  uint64
	Learner bool
	// Errors are alarms and the like, for people.
	Errors []string
}

// Reset tells how a node is wiped.
type Reset struct {
	// Graceful has the node leave etcd and Kubernetes first; it fails when etcd's majority would be lost.
	Graceful bool
	// Reboot restarts the node afterwards, instead of switching it off.
	Reboot bool
	// SystemDiskOnly leaves all other disks as they are.
	SystemDiskOnly bool
	// Partitions are labels such as STATE and EPHEMERAL. If there are some, nothing else of the system disk is wiped.
	Partitions []string
}
