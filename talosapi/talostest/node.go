package talostest

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// Node is one that is installed and has its configuration.
type Node struct {
	Address, Hostname string

	cluster *Cluster
	server  *grpc.Server
	// The cluster's mutex guards what follows.
	on, healthy bool
	member      uint64
	version     string
	calls       []string
	resets      []talosapi.Reset
	refuses     map[string]error
	config      []byte
	// starting is a node whose etcd has data and does not run yet; rollsBack one on which nothing new comes to run.
	starting, rollsBack bool
}

// SwitchOn serves the API.
func (n *Node) SwitchOn(t *testing.T) {
	t.Helper()

	secured, err := serving(n.cluster.Authority, n.cluster.Key, n.Address)
	if err != nil {
		t.Fatal(err)
	}

	listener, err := net.Listen("tcp", net.JoinHostPort(n.Address, strconv.Itoa(talosapi.Port)))
	if err != nil {
		t.Fatal(err)
	}

	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(secured)), grpc.UnaryInterceptor(n.note))
	machine.RegisterMachineServiceServer(server, &service{node: n})
	cosi.RegisterStateServer(server, &resources{node: n})

	go func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}()

	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()

	n.server, n.on = server, true
	if len(n.cluster.members) > 0 {
		n.cluster.join(n)
	}
}

// SwitchOff is what a power cut does: the node's member stays in etcd's list.
func (n *Node) SwitchOff() {
	n.cluster.mu.Lock()
	n.on = false
	server := n.server
	n.cluster.mu.Unlock()

	server.Stop()
}

// SetHealthy has the node's etcd pass its check, or not.
func (n *Node) SetHealthy(healthy bool) { n.locked(func() { n.healthy = healthy }) }

// SetStarting has the node's etcd be on its way up, as after a restart of the node, or run.
func (n *Node) SetStarting(starting bool) { n.locked(func() { n.starting = starting }) }

// RollBack has upgrades fail as on a machine that cannot boot what was installed: it runs what it ran before.
func (n *Node) RollBack() { n.locked(func() { n.rollsBack = true }) }

// Running is the release of Talos that the node runs, and whether it is switched on.
func (n *Node) Running() (version string, on bool) {
	n.locked(func() { version, on = n.version, n.on })

	return version, on
}

// Configure gives the node another configuration.
func (n *Node) Configure(configuration []byte) { n.locked(func() { n.config = configuration }) }

// Configuration is the machine configuration that the node runs by.
func (n *Node) Configuration() (configuration []byte) {
	n.locked(func() { configuration = n.config })

	return configuration
}

// Refuse has a method, such as EtcdLeaveCluster, fail with an error of gRPC, or work again when it is nil.
func (n *Node) Refuse(method string, err error) {
	n.locked(func() {
		if n.refuses == nil {
			n.refuses = map[string]error{}
		}

		n.refuses[method] = err
	})
}

// Calls are the names of the methods that were called, in order.
func (n *Node) Calls() (calls []string) {
	n.locked(func() { calls = slices.Clone(n.calls) })

	return calls
}

// Called tells how often a method was called.
func (n *Node) Called(method string) (times int) {
	for _, name := range n.Calls() {
		if name == method {
			times++
		}
	}

	return times
}

// Resets are the wipes that the node was asked for.
func (n *Node) Resets() (resets []talosapi.Reset) {
	n.locked(func() { resets = slices.Clone(n.resets) })

	return resets
}

func (n *Node) locked(do func()) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()

	do()
}
