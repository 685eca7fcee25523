// Package hall is many Talos nodes in one process, for tests of how the product does with hundreds of them: what Cluster API and the
// product's controllers read and ask is there (the machine API by each cluster's own authority, Nodes, Leases), and nothing behind it.
// There is no real etcd and no real API server; package node has those.
package hall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/cmdline"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/configuration"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// Hall are the machines of one process, by their clusters.
type Hall struct {
	mu       sync.Mutex
	clusters map[string]*cluster // by the certificate of their authority
}

// New makes an empty one.
func New() *Hall { return &Hall{clusters: map[string]*cluster{}} }

// Run is one node from power-on until it is to be restarted or switched off, as node.Run. It tells no events but why it has no
// configuration yet, and logs to nobody but its Log. Its addresses must be this computer's, and differ from those of all others.
func (h *Hall) Run(ctx context.Context, c node.Config, tell func(proto.Message)) (node.Outcome, error) {
	installed, err := c.State.Load()
	if err != nil {
		return 0, err //nolint:wrapcheck // it says what it is
	}

	if installed != nil && len(installed.Configuration) > 0 {
		loaded, err := configuration.Load(installed.Configuration)
		if err != nil {
			return 0, err //nolint:wrapcheck // it says what it is
		}

		return h.boot(ctx, c, *installed, loaded)
	}

	if installed != nil {
		c.Args = cmp.Or(c.Args, installed.Args)
	}

	arguments := cmdline.Parse(c.Args)
	source := configuration.Source{URL: arguments.First("talos.config"), Values: c.Values(), Tell: tell, Log: c.Log}

	text, loaded, err := source.Acquire(ctx)
	if err != nil {
		return 0, err //nolint:wrapcheck // it says what it is
	}

	now := node.Installation{
		Configuration: text, Release: cmp.Or(node.Tag(loaded.Machine().Install().Image()), c.Release),
		Args: arguments.Installed(loaded.Machine().Install().ExtraKernelArgs()),
	}
	if installed != nil {
		now.Release, now.Args = installed.Release, installed.Args
	}

	if err := c.State.Install(now); err != nil {
		return 0, err //nolint:wrapcheck // it says what it is
	}

	if installed != nil {
		return h.boot(ctx, c, now, loaded)
	}

	return node.Reboot, nil
}

// clusterOf is the one that a configuration is for.
func (h *Hall) clusterOf(loaded config.Provider) (*cluster, error) {
	issuing := loaded.Machine().Security().IssuingCA()
	if issuing == nil {
		return nil, errors.New("join cluster: the configuration has no machine.ca")
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	known := h.clusters[string(issuing.Crt)]
	if known == nil {
		known = newCluster()
		h.clusters[string(issuing.Crt)] = known
	}

	if !loaded.Machine().Type().IsControlPlane() {
		return known, nil
	}

	if err := known.learn(loaded); err != nil {
		return nil, fmt.Errorf("join cluster: %w", err)
	}

	return known, nil
}
