// Package talostest is a double of Talos nodes for tests: what controllers ask of the machine API, over real gRPC and TLS with the
// cluster's own authority. The etcd cluster behind it is a list of members; a majority that is not up answers nothing, as etcd's.
package talostest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Cluster are nodes that share an etcd cluster.
type Cluster struct {
	// Authority and Key are those of Talos's API, in PEM.
	Authority, Key []byte
	// Configuration is what nodes start with. Those that are only asked about etcd need none.
	Configuration []byte

	mu      sync.Mutex
	nodes   []*Node
	members []*Node // in the order in which they joined
	begun   int     // how many etcd clusters there were
	last    uint64  // of the members' IDs
}

// Address is one of the loopback's that no other test uses, most likely.
func Address() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)) //nolint:gosec // no secret
}

// Start has a node serve its API, as one that has its configuration, until the test ends. It joins the etcd cluster when there is one.
func (c *Cluster) Start(t *testing.T, hostname string) *Node {
	t.Helper()

	n := &Node{Address: Address(), Hostname: hostname, cluster: c, version: "v1.13.6", healthy: true, config: c.Configuration}

	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()

	n.SwitchOn(t)
	t.Cleanup(n.SwitchOff)

	return n
}

// Node is the one of a host name, nil if there is none.
func (c *Cluster) Node(hostname string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, n := range c.nodes {
		if n.Hostname == hostname {
			return n
		}
	}

	return nil
}

// Nodes are all that were started.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()

	return slices.Clone(c.nodes)
}

// Bootstraps is how many etcd clusters were begun: more than one is a disaster.
func (c *Cluster) Bootstraps() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.begun
}

// Members are the host names of etcd's members, in the order in which they joined.
func (c *Cluster) Members() []string {
	c.mu.Lock()
	defer c.mu.Unlock()

	var names []string
	for _, n := range c.members {
		names = append(names, n.Hostname)
	}

	return names
}

// bootstrap begins an etcd cluster at a node.
func (c *Cluster) bootstrap(n *Node) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if n.member != 0 {
		return status.Error(codes.AlreadyExists, "etcd data directory is not empty") //nolint:wrapcheck // it is the answer
	}

	c.begun++
	c.members = nil
	c.join(n)

	for _, other := range c.nodes {
		if other != n && other.on {
			c.join(other)
		}
	}

	return nil
}

// join adds a node, as Talos does by itself on each that has no data of etcd.
func (c *Cluster) join(n *Node) {
	if !slices.Contains(c.members, n) {
		c.last++
		n.member = c.last
		c.members = append(c.members, n)
	}
}

// majority tells whether enough members are up.
func (c *Cluster) majority() error {
	up := 0

	for _, n := range c.members {
		if n.on && n.healthy && !n.starting {
			up++
		}
	}

	if up <= len(c.members)/2 {
		return status.Error(codes.DeadlineExceeded, "etcdserver: request timed out") //nolint:wrapcheck // it is the answer
	}

	return nil
}

// remove takes a member out.
func (c *Cluster) remove(id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	at := slices.IndexFunc(c.members, func(n *Node) bool { return n.member == id })
	if at < 0 {
		return status.Error(codes.NotFound, "etcdserver: member not found") //nolint:wrapcheck // it is the answer
	}

	if err := c.majority(); err != nil {
		return err
	}

	if len(c.members) == 1 {
		return status.Error(codes.Unknown, "the last member") //nolint:wrapcheck // it is the answer
	}

	c.members[at].member = 0
	c.members = slices.Delete(c.members, at, at+1)

	return nil
}
