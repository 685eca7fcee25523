package ipmi_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
)

// TestGuards: BMCs that hang delay no other, and are left alone after a while; sessions outlive those who ask.
func TestGuards(t *testing.T) {
	options := power.DefaultOptions()
	options.Timeout, options.Retry, options.Pause.First = 100*time.Millisecond, power.Backoff{}, time.Minute
	guards := power.NewGuards(options)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- guards.Run(ctx) }()
	const bmcs, rounds = 20, 5
	var all sync.WaitGroup
	servers := make([]*simulator.Server, bmcs)
	for i := range bmcs {
		hangs := i%2 == 0
		servers[i] = start(t, simulator.Config{Lies: simulator.Lies{Silent: hangs}})
		all.Go(func() {
			for round := range rounds {
				key := power.Key{Endpoint: strconv.Itoa(servers[i].Port())}
				driver := guards.Driver(key, func() (power.Driver, error) {
					return ipmi.New(ipmi.Config{Endpoint: "127.0.0.1", Port: servers[i].Port(), User: "admin", Password: "password"})
				})
				begin := time.Now()
				_, err := driver.State(t.Context())
				took := time.Since(begin)
				driver.Close()
				switch {
				case (err != nil) != hangs:
					t.Errorf("BMC %d, round %d: %v", i, round, err)
				case hangs && round >= options.Failures && took > 50*time.Millisecond, !hangs && took > time.Second:
					t.Errorf("BMC %d, round %d: took %s", i, round, took)
				}
			}
		})
	}
	all.Wait()
	for i, server := range servers {
		if want := i % 2; server.Logins() != want {
			t.Errorf("BMC %d: %d logins, want %d", i, server.Logins(), want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for i, server := range servers {
		if server.Sessions() != 0 {
			t.Errorf("BMC %d: %d sessions are left", i, server.Sessions())
		}
	}
}
