package pki

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// renewalPeriod is how often the certificates are looked at. An address that a host just got is usable after this.
const renewalPeriod = 30 * time.Second

// Renewal keeps the serving certificate and the admin's kubeconfig valid while the appliance runs.
type Renewal struct {
	Authority *Authority
	// Addresses lists the addresses that the API server is reached at.
	Addresses func() ([]netip.Addr, error)
	// Kubeconfig is the path of the admin's kubeconfig and Server the address in it.
	Kubeconfig string
	Server     netip.AddrPort
	Logger     *slog.Logger
}

// Once brings everything up to date.
func (r *Renewal) Once() error {
	addresses, err := r.Addresses()
	if err != nil {
		return err
	}

	renewed, err := r.Authority.EnsureServing(addresses)
	if renewed && err == nil {
		r.Logger.Info("serving certificate made", "addresses", addresses)
	}

	return errors.Join(err, r.Authority.WriteAdminKubeconfig(r.Kubeconfig, r.Server))
}

// Name identifies the component.
func (*Renewal) Name() string { return "certificates" }

// Ready is always fulfilled: the certificates were made before anything started.
func (*Renewal) Ready(context.Context) error { return nil }

// Run renews until ctx ends. A renewal that fails is logged and tried again: the certificates there are valid for months.
func (r *Renewal) Run(ctx context.Context) error {
	tick := time.NewTicker(renewalPeriod)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.Once(); err != nil {
				r.Logger.Error("cannot renew certificates", "error", err)
			}
		}
	}
}
