package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/etcd"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/machineapi"
)

var _ machineapi.Machine = (*running)(nil)

// Hostname implements machineapi.Machine.
func (r *running) Hostname() string { return r.name }

// Release implements machineapi.Machine.
func (r *running) Release() string { return r.release }

// Booted implements machineapi.Machine.
func (r *running) Booted() time.Time { return r.since }

// Configuration implements machineapi.Machine.
func (r *running) Configuration() ([]byte, error) { return r.loaded.Bytes() } //nolint:wrapcheck // it says what it is

// Owns implements machineapi.Machine.
func (r *running) Owns(name string) bool {
	for _, own := range r.names() {
		if own == name {
			return true
		}
	}

	return false
}

// names are those that the node is called by.
func (r *running) names() []string {
	names := []string{r.name, "127.0.0.1", "localhost"}
	for _, address := range r.Network.Addresses {
		names = append(names, address.String())
	}

	return names
}

// Services implements machineapi.Machine.
func (r *running) Services() []*machine.ServiceInfo {
	services := []*machine.ServiceInfo{
		machineapi.Service("apid", "Running", true), machineapi.Service("machined", "Running", true),
	}

	select {
	case <-r.kubelet.Registered():
		services = append(services, machineapi.Service("kubelet", "Running", r.kubelet.Healthy()))
	default:
		services = append(services, machineapi.Service("kubelet", "Preparing", false))
	}

	if r.etcd != nil {
		services = append(services, machineapi.Service("etcd", string(r.etcd.State()), r.etcd.Healthy()),
			machineapi.Service("trustd", "Running", true))
	}

	return services
}

// Bootstrap implements machineapi.Machine.
func (r *running) Bootstrap() error {
	if r.etcd == nil {
		return machineapi.ErrNotControlPlane
	}

	r.log.Info("bootstraps etcd")

	if err := r.etcd.Bootstrap(); errors.Is(err, etcd.ErrHasData) {
		return machineapi.ErrBootstrapped
	} else if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}

	return nil
}

// Etcd implements machineapi.Machine.
func (r *running) Etcd() (machineapi.Etcd, uint64, error) {
	if r.etcd == nil {
		return nil, 0, machineapi.ErrNotControlPlane
	}

	client, id, err := r.etcd.Client()
	if err != nil {
		return nil, 0, machineapi.ErrNoEtcd
	}

	return client, id, nil
}

// LeaveEtcd implements machineapi.Machine.
func (r *running) LeaveEtcd(ctx context.Context) error {
	if _, _, err := r.Etcd(); err != nil {
		return err
	}

	return r.etcd.Leave(ctx) //nolint:wrapcheck // it says what it is
}

// Kubeconfig implements machineapi.Machine.
func (r *running) Kubeconfig() ([]byte, error) {
	if r.control == nil {
		return nil, machineapi.ErrNotControlPlane
	}

	return machineapi.Kubeconfig(r.loaded.Cluster(), r.control.Authority()) //nolint:wrapcheck // it says what it is
}
