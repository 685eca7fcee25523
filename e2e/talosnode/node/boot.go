package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/controlplane"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/etcd"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/kubelet"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// running is a node that is installed.
type running struct {
	*node
	*Requests

	loaded config.Provider
	name   string
	since  time.Time
	// machines is the authority of the machine API; nil on workers, which have no key of it.
	machines *pki.Authority
	etcd     *etcd.Member               // nil on workers
	control  *controlplane.ControlPlane // nil on workers
	kubelet  *kubelet.Kubelet
	broken   chan error
}

// Layers end one after the other: etcd outlives those who use it.
type layer struct {
	cancel context.CancelFunc
	parts  sync.WaitGroup
}

// stopWithin bounds how long a layer may take to end.
const stopWithin = 10 * time.Second

func (l *layer) stop() {
	l.cancel()

	ended := make(chan struct{})

	go func() {
		l.parts.Wait()
		close(ended)
	}()

	select {
	case <-ended:
	case <-time.After(stopWithin):
	}
}

// boot runs what an installed node has, until somebody ends it.
func (n *node) boot(ctx context.Context, loaded config.Provider) (Outcome, error) {
	r := &running{
		node: n, loaded: loaded, name: n.Hostname(loaded), since: time.Now(), broken: make(chan error, 1),
	}
	r.Requests = NewRequests(n.State, r.leave, n.log)

	n.link.Publish(&machine.SequenceEvent{Sequence: "boot", Action: machine.SequenceEvent_START})
	n.stage(machine.MachineStatusEvent_BOOTING, false)
	n.addresses(r.name)
	n.log.Info("boots", "hostname", r.name, "type", loaded.Machine().Type())

	if len(n.Network.Addresses) == 0 {
		n.log.Warn("has no address, without which it can do nothing: waits to be switched off")
		<-ctx.Done()

		return 0, ctx.Err() //nolint:wrapcheck // the caller's own
	}

	if err := r.prepare(); err != nil {
		return 0, err
	}

	lower, upper := r.start(ctx)

	defer lower.stop()
	defer upper.stop()

	select {
	case <-ctx.Done():
		return 0, ctx.Err() //nolint:wrapcheck // the caller's own
	case err := <-r.broken:
		return 0, err
	case e := <-r.Ends():
		return r.end(ctx, e, lower, upper)
	}
}

// prepare makes the parts.
func (r *running) prepare() error {
	if r.loaded.Machine().Type().IsControlPlane() {
		if err := r.prepareControlPlane(); err != nil {
			return fmt.Errorf("prepare control plane node: %w", err)
		}
	}

	r.kubelet = r.newKubelet()

	return nil
}

func (r *running) prepareControlPlane() error {
	var err error
	if r.machines, err = pki.AuthorityOf(r.loaded.Machine().Security().IssuingCA()); err != nil {
		return fmt.Errorf("machine.ca: %w", err)
	}

	storage, err := pki.AuthorityOf(r.loaded.Cluster().Etcd().CA())
	if err != nil {
		return fmt.Errorf("cluster.etcd.ca: %w", err)
	}

	r.etcd = etcd.New(etcd.Config{
		Folder: filepath.Join(r.Root, "etcd"), Name: r.name, Address: r.Network.Addresses[0], Authority: storage, Peers: r.peers, Log: r.log,
	})
	r.control, err = controlplane.New(controlplane.Config{
		Folder: filepath.Join(r.Root, "kubernetes"), Node: r.name, Address: r.Network.Addresses[0], Cluster: r.loaded.Cluster(),
		EtcdReady: r.etcd.Voting, Log: r.log,
	})

	return err //nolint:wrapcheck // it says what it is
}

// start runs the parts.
func (r *running) start(ctx context.Context) (lower, upper *layer) {
	lower, upper = &layer{}, &layer{}

	below, cancel := context.WithCancel(ctx)
	lower.cancel = cancel
	above, cancel := context.WithCancel(ctx)
	upper.cancel = cancel

	run := func(on *layer, ctx context.Context, what func(context.Context) error) {
		on.parts.Go(func() {
			if err := what(ctx); err != nil && ctx.Err() == nil {
				select {
				case r.broken <- err:
				default:
				}
			}
		})
	}

	if r.etcd != nil {
		run(lower, below, r.runEtcd)
		run(upper, above, r.control.Run)
		run(upper, above, r.serveTrustd)
		run(upper, above, r.label)
	}

	run(upper, above, r.kubelet.Run)
	run(upper, above, r.serveAPI)
	run(upper, above, r.announce)

	return lower, upper
}

// runEtcd is etcd's life. A node of the older type init begins its cluster by itself.
func (r *running) runEtcd(ctx context.Context) error {
	if r.loaded.Machine().Type() == machinetype.TypeInit {
		if err := r.etcd.Bootstrap(); err != nil && !errors.Is(err, etcd.ErrHasData) {
			return err //nolint:wrapcheck // it says what it is
		}
	}

	return r.etcd.Run(ctx) //nolint:wrapcheck // it says what it is
}

// leave takes the node out of etcd, if it is in it.
func (r *running) leave(ctx context.Context) error {
	if r.etcd == nil || r.etcd.State() != etcd.Running {
		return nil
	}

	if err := r.etcd.Leave(ctx); err != nil {
		return fmt.Errorf("leave gracefully: %w", err)
	}

	return nil
}

// announce tells when the node is ready, and when its addresses are others.
func (r *running) announce(ctx context.Context) error {
	told := r.link.Address()
	registered := r.kubelet.Registered()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-registered:
			registered = nil

			r.link.Publish(&machine.SequenceEvent{Sequence: "boot", Action: machine.SequenceEvent_STOP})
			r.stage(machine.MachineStatusEvent_RUNNING, true)
			r.log.Info("runs and is ready")
		case <-time.After(time.Second):
			if now := r.link.Address(); now != told {
				told = now
				r.addresses(r.name)
			}
		}
	}
}
