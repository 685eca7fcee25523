package hall

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/machineapi"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// standing is a node that is installed.
type standing struct {
	*node.Requests

	config  node.Config
	loaded  config.Provider
	cluster *cluster
	release string
	name    string
	since   time.Time
	member  *member // nil on workers
}

var _ machineapi.Machine = (*standing)(nil)

// boot is an installed node, until it is to end.
func (h *Hall) boot(ctx context.Context, c node.Config, installed node.Installation, loaded config.Provider) (node.Outcome, error) {
	known, err := h.clusterOf(loaded)
	if err != nil {
		return 0, err
	}

	s := &standing{
		config: c, loaded: loaded, cluster: known, release: installed.Release, name: c.Hostname(loaded), since: time.Now(),
	}
	s.Requests = node.NewRequests(c.State, s.leave, c.Log)

	if loaded.Machine().Type().IsControlPlane() {
		s.member = known.memberOf(s.name, c.Network.Addresses[0].String())
	}

	return s.run(ctx)
}

func (s *standing) run(ctx context.Context) (node.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	parts := []func(context.Context) error{s.serve, s.register}
	if s.member != nil {
		parts = append(parts, s.serveKubernetes)
	}

	failed := make(chan error, len(parts))

	for _, part := range parts {
		go func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				failed <- err
			}
		}()
	}

	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err() //nolint:wrapcheck // the caller's own
		case err := <-failed:
			return 0, err
		case e := <-s.Ends():
			if e.First != nil {
				if err := e.First(ctx); err != nil {
					s.config.Log.Error("cannot end", "sequence", e.Sequence, "error", err)

					continue
				}
			}

			cancel()

			if e.Last != nil {
				return e.Outcome, e.Last()
			}

			return e.Outcome, nil
		}
	}
}

// serve serves the machine API, as soon as the cluster's authority is known.
func (s *standing) serve(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.cluster.known:
	}

	own, err := s.certificate()
	if err != nil {
		return err
	}

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp",
		net.JoinHostPort(s.config.Network.Addresses[0].String(), strconv.Itoa(machineapi.Port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}

	security := machineapi.Security{Certificate: own, Authorities: [][]byte{s.cluster.machines.PEM}}

	return machineapi.Serve(ctx, listener, security, s) //nolint:wrapcheck // it says what it is
}

func (s *standing) certificate() (tls.Certificate, error) {
	pair, err := s.cluster.machines.Issue(pki.Subject{Name: s.name, Hosts: s.names()})
	if err != nil {
		return tls.Certificate{}, err //nolint:wrapcheck // it says what it is
	}

	return pair.TLS() //nolint:wrapcheck // it says what it is
}

// serveKubernetes serves the cluster's API when it is bootstrapped, if no other node does.
func (s *standing) serveKubernetes(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.cluster.begun:
	}

	s.cluster.join(s.member)

	for !s.cluster.claim() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}

	defer s.cluster.giveUp()

	return s.cluster.serve(ctx, s.loaded)
}

// renewsAfter is how often kubelets renew their Leases.
const renewsAfter = 10 * time.Second

// register makes the Node when the cluster is bootstrapped, and renews its Lease.
func (s *standing) register(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.cluster.begun:
	}

	object := s.config.Describe(s.loaded, s.release).Object()
	object.APIVersion, object.Kind = "v1", "Node"

	if s.member != nil {
		object.Labels["node-role.kubernetes.io/control-plane"] = ""
	}

	text, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("register Node: %w", err)
	}

	made := &unstructured.Unstructured{}
	if err := made.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("register Node: %w", err)
	}

	if err := s.cluster.store.Register(made); err != nil {
		return fmt.Errorf("register Node: %w", err)
	}

	for {
		s.cluster.store.Renew(s.name, time.Now())

		select {
		case <-ctx.Done():
			return nil
		case <-time.After(renewsAfter):
		}
	}
}

// Hostname implements machineapi.Machine.
func (s *standing) Hostname() string { return s.name }

// Configuration implements machineapi.Machine.
func (s *standing) Configuration() ([]byte, error) { return s.loaded.Bytes() } //nolint:wrapcheck // it says what it is

// Release implements machineapi.Machine.
func (s *standing) Release() string { return s.release }

// Booted implements machineapi.Machine.
func (s *standing) Booted() time.Time { return s.since }

// Owns implements machineapi.Machine.
func (s *standing) Owns(name string) bool { return slices.Contains(s.names(), name) }

func (s *standing) names() []string {
	names := []string{s.name, "127.0.0.1"}
	for _, address := range s.config.Network.Addresses {
		names = append(names, address.String())
	}

	return names
}

// Services implements machineapi.Machine.
func (s *standing) Services() []*machine.ServiceInfo {
	services := []*machine.ServiceInfo{machineapi.Service("apid", "Running", true), machineapi.Service("kubelet", "Running", true)}
	if s.member == nil {
		return services
	}

	if _, _, err := s.Etcd(); err != nil {
		return append(services, machineapi.Service("etcd", "Preparing", false))
	}

	return append(services, machineapi.Service("etcd", "Running", true))
}

// Bootstrap implements machineapi.Machine.
func (s *standing) Bootstrap() error {
	if s.member == nil {
		return machineapi.ErrNotControlPlane
	}

	if !s.cluster.bootstrap(s.member) {
		return machineapi.ErrBootstrapped
	}

	return nil
}

// Etcd implements machineapi.Machine.
func (s *standing) Etcd() (machineapi.Etcd, uint64, error) {
	if s.member == nil {
		return nil, 0, machineapi.ErrNotControlPlane
	}

	if !slices.Contains(s.cluster.list(), s.member) {
		return nil, 0, machineapi.ErrNoEtcd
	}

	return etcd{s.cluster}, s.member.id, nil
}

// LeaveEtcd implements machineapi.Machine.
func (s *standing) LeaveEtcd(context.Context) error {
	if _, _, err := s.Etcd(); err != nil {
		return err
	}

	return s.cluster.remove(s.member.id)
}

// leave takes the node out of etcd, if it is in it.
func (s *standing) leave(ctx context.Context) error {
	err := s.LeaveEtcd(ctx)
	if errors.Is(err, machineapi.ErrNotControlPlane) || errors.Is(err, machineapi.ErrNoEtcd) {
		return nil
	}

	return err
}

// Kubeconfig implements machineapi.Machine.
func (s *standing) Kubeconfig() ([]byte, error) {
	if s.member == nil {
		return nil, machineapi.ErrNotControlPlane
	}

	return machineapi.Kubeconfig(s.loaded.Cluster(), s.cluster.kubernetes) //nolint:wrapcheck // it says what it is
}
