package reset

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

const (
	// answersWithin bounds the try to reach a node, at all of its addresses.
	answersWithin = 3 * time.Second
	// obeysWithin bounds what it is told: a node that goes down answers at once, or not at all.
	obeysWithin = 10 * time.Second
	// atOnce is how many nodes are tried at the same time: those that do not answer hold up no other work.
	atOnce = 5
	// soon is when a node is tried for which there was no room.
	soon = time.Second
	// mostAddresses is at how many addresses a node is looked for. They come from the node itself.
	mostAddresses = 4
)

// Nodes are those of all clusters.
type Nodes struct {
	live client.Reader
	dial talosapi.Dialer
	room chan struct{}
}

// NewNodes are reached by a Dialer, and by the secrets of their clusters, which are read when they are needed.
func NewNodes(live client.Reader, dial talosapi.Dialer) *Nodes {
	return &Nodes{live: live, dial: dial, room: make(chan struct{}, atOnce)}
}

// Try decides, asks the node of a cluster if that is due, and has it obey. Before it is told anything, note writes that down.
func (n *Nodes) Try(ctx context.Context, cluster client.ObjectKey, f Facts, note func(Decision) error) (Decision, error) {
	f.Addresses = f.Addresses[:min(len(f.Addresses), mostAddresses)]
	f.Secrets = true

	if d := Next(f); d.Action != Ask {
		return d, nil
	}

	configuration, err := n.configuration(ctx, cluster)
	if err != nil {
		return Decision{}, err
	}

	if f.Secrets = configuration != nil; !f.Secrets {
		return Next(f), nil
	}

	select {
	case n.room <- struct{}{}:
	default:
		return Decision{Action: Wait, After: soon}, nil
	}

	defer func() { <-n.room }()

	node := n.reach(ctx, configuration, f)
	if node == nil {
		f.Node = Silent

		return Next(f), nil
	}

	defer node.Close() //nolint:errcheck // nothing is lost with it

	f.Node = Answers
	told := Next(f)

	if err := note(told); err != nil {
		return Decision{}, err
	}

	f.Told = true
	f.Node, f.Refusal = tell(ctx, node, told.Action)

	return Next(f), nil
}

// configuration is a client's of a cluster, nil when its secrets are gone, or nobody can read them.
func (n *Nodes) configuration(ctx context.Context, cluster client.ObjectKey) ([]byte, error) {
	secret, key := &corev1.Secret{}, client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Name + machineconfig.SecretsSuffix}
	if found, err := contract.Find(ctx, n.live, key, secret); !found {
		return nil, err //nolint:wrapcheck // it names the object
	}

	secrets, err := machineconfig.ReadSecrets(secret.Data)
	if err != nil {
		return nil, nil //nolint:nilerr // as told
	}

	configuration, err := secrets.ClientConfig(machineconfig.Client{Cluster: cluster.Name}, time.Now())
	if err != nil {
		return nil, fmt.Errorf("make a client of cluster %s: %w", cluster.Name, err)
	}

	return configuration, nil
}

// reach finds the node at one of its addresses, nil when it answers at none.
func (n *Nodes) reach(ctx context.Context, configuration []byte, f Facts) talosapi.Node {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()

	var asking sync.WaitGroup

	nodes := make([]talosapi.Node, len(f.Addresses))

	for i, address := range f.Addresses {
		asking.Go(func() { nodes[i] = n.ask(ctx, configuration, address, f.Server) })
	}

	asking.Wait()

	var found talosapi.Node

	for _, node := range nodes {
		switch {
		case node == nil:
		case found == nil:
			found = node
		default:
			node.Close() //nolint:errcheck // the same at another address
		}
	}

	return found
}

// ask connects to the node of a server at an address, where another node of the cluster may be by now: that of the virtual address of its
// control plane goes from node to node, and so do those that DHCP gives.
func (n *Nodes) ask(ctx context.Context, configuration []byte, address, server string) talosapi.Node {
	node, err := n.dial(configuration, address)
	if err != nil {
		return nil
	}

	own, err := node.Configuration(ctx)
	if err != nil || !machineconfig.Labelled(own, metal.NodeLabel+"="+server) {
		node.Close() //nolint:errcheck // it does not answer, or is another

		return nil
	}

	return node
}

// tell has a node obey. One that cannot wipe its disk restarts all the same.
func tell(ctx context.Context, node talosapi.Node, action Action) (Outcome, string) {
	ctx, cancel := context.WithTimeout(ctx, obeysWithin)
	defer cancel()

	var err error

	if action == Reset {
		// Not gracefully: it has been drained, and has left etcd, or goes together with all others. Other disks are the agent's to wipe.
		err = node.Reset(ctx, talosapi.Reset{Reboot: true, SystemDiskOnly: true})
	}

	if action == Reboot || err != nil && !errors.Is(err, talosapi.ErrUnreachable) {
		err = node.Reboot(ctx)
	}

	switch {
	case err == nil:
		return Obeys, ""
	case errors.Is(err, talosapi.ErrUnreachable):
		return Unclear, ""
	default:
		return Refuses, err.Error()
	}
}

// Controlled tells whether a server has power control by which a machine that runs is taken into the network boot. Wake-on-LAN and the like only
// start one that is off.
func Controlled(s *metal.Server) bool { return s.Spec.TurnsOff() && s.Spec.SeesPower() }
