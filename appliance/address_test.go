package appliance

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/appliance/network"
)

// TestAddressWatch lets the network be something else at each look.
func TestAddressWatch(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.10")
	there := network.Host{Interfaces: []network.Interface{{Name: "lan0", Addresses: []netip.Prefix{netip.PrefixFrom(address, 24)}}}}
	elsewhere := network.Host{Interfaces: []network.Interface{{Name: "lan1", Addresses: there.Interfaces[0].Addresses}, {Name: "lan0"}}}
	look := func(h network.Host, err error) func() (network.Host, error) {
		return func() (network.Host, error) { return h, err }
	}
	yes, no, unknown := look(there, nil), look(elsewhere, nil), look(network.Host{}, errors.New("interrupted"))
	for name, test := range map[string]struct {
		looks []func() (network.Host, error)
		fails bool
	}{
		"it stays":                     {[]func() (network.Host, error){yes, yes, yes}, false},
		"it goes":                      {[]func() (network.Host, error){yes, no, no}, true},
		"it goes and comes back":       {[]func() (network.Host, error){no, yes, no, yes}, false},
		"the kernel does not say":      {[]func() (network.Host, error){unknown, unknown, unknown}, false},
		"it goes while nobody can say": {[]func() (network.Host, error){no, unknown, no}, true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		watch := &addressWatch{address: address, device: "lan0", every: time.Millisecond, log: slog.New(slog.DiscardHandler)}
		watch.read = func() (network.Host, error) {
			if len(test.looks) == 0 {
				cancel()
				return there, nil
			}
			next := test.looks[0]
			test.looks = test.looks[1:]
			return next()
		}
		err := watch.Run(ctx)
		cancel()
		if test.fails != (err != nil) || err != nil && !strings.Contains(err.Error(), "address 192.0.2.10 is gone from lan0") {
			t.Errorf("%s: error is %v, want one: %t", name, err, test.fails)
		}
	}
}

func TestChosenAddressIsNotWatched(t *testing.T) {
	s := site{Config: Defaults(), Interfaces: []network.Interface{{Name: "lan0"}}}
	if newAddressWatch(s) == nil {
		t.Error("an address that nobody chose is not watched")
	}
	s.AdvertiseAddress = "appliance.lan"
	if newAddressWatch(s) != nil {
		t.Error("an address that a person chose is watched")
	}
}
