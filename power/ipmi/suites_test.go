package ipmi_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
)

// TestSuitesAreCheapToTryAgain counts what it costs that nobody knows any more which cipher suite a BMC takes, as after a restart: so little
// that it is not kept. The BMC takes only the last one.
func TestSuitesAreCheapToTryAgain(t *testing.T) {
	const wait = 200 * time.Millisecond // long enough for an answer, or there are more datagrams

	for name, c := range map[string]struct {
		lies simulator.Lies
		more int64 // datagrams
	}{
		"says that it has not the others": {simulator.Lies{}, 3},
		"does not answer about others":    {simulator.Lies{SilentSuites: true}, 6},
	} {
		server := start(t, simulator.Config{Suites: []uint8{12}, Lies: c.lies})
		cost := func(known lan.Suite) (datagrams int64, took time.Duration) {
			port, sent := count(t, server.Port())
			driver := connect(t, server, func(c *ipmi.Config) { c.Port, c.Suite, c.Wait = port, known, wait })
			begin := time.Now()

			if _, err := driver.State(t.Context()); err != nil || driver.Suite() != 12 {
				t.Fatalf("%s: %v, suite %d", name, err, driver.Suite())
			}

			return sent.Load(), time.Since(begin)
		}

		least, _ := cost(12)
		most, took := cost(0)

		if most != least+c.more {
			t.Errorf("%s: %d datagrams, and %d when the suite is known", name, most, least)
		}

		if silent := time.Duration(c.more) * wait; c.lies.SilentSuites && took < silent {
			t.Errorf("%s: took %s, less than all waits", name, took)
		}
	}
}

// count is a port that leads to a BMC's, and how many datagrams have gone that way.
func count(t *testing.T, bmc int) (port int, sent *atomic.Int64) {
	t.Helper()
	loopback := net.IPv4(127, 0, 0, 1)
	near, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback})
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: loopback, Port: bmc})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	sent = new(atomic.Int64)
	var driver atomic.Pointer[net.UDPAddr]
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := near.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			driver.Store(from)
			sent.Add(1)
			far.Write(buffer[:n])
		}
	}()
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, err := far.Read(buffer)
			if err != nil {
				return
			}
			near.WriteToUDP(buffer[:n], driver.Load())
		}
	}()
	return near.LocalAddr().(*net.UDPAddr).Port, sent
}
