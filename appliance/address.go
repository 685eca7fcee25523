package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sidero-appliance/sidero-appliance/appliance/network"
)

// addressEvery is how often the advertised address is looked for.
const addressEvery = 3 * time.Second

// addressWatch is a component that fails when the advertised address is gone.
// Scripts, kubeconfigs and certificates carry it, and a new start is the one way
// to choose again; the systemd unit starts a program that failed.
type addressWatch struct {
	address netip.Addr
	device  string // the interface that had it
	every   time.Duration
	read    func() (network.Host, error)
	log     *slog.Logger
}

// newAddressWatch returns nil if a person chose the address: it may be another
// machine's, which forwards to this one.
func newAddressWatch(s site) *addressWatch {
	if s.AdvertiseAddress != "" {
		return nil
	}
	return &addressWatch{address: s.Advertise, device: s.Interfaces[0].Name, every: addressEvery, read: network.Read, log: s.Log}
}

// Name implements supervisor.Component.
func (*addressWatch) Name() string { return "address" }

// Ready implements supervisor.Component. The survey before the start saw the address.
func (*addressWatch) Ready(context.Context) error { return nil }

// Run implements supervisor.Component. It fails when the address is missing at
// two looks in a row: whoever configures the network may take it away for a
// moment and give it back.
func (w *addressWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for misses := 0; misses < 2; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		host, err := w.read()
		switch {
		case err != nil:
			w.log.Warn("cannot look for the advertised address", "error", err)
		case host.Has(w.device, w.address):
			misses = 0
		default:
			misses++
		}
	}
	return fmt.Errorf("address %s is gone from %s: start again to serve with the one that is there now, or choose one with --advertise-address", w.address, w.device)
}
