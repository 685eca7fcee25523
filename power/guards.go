package power

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Options are how a Guards treats devices. DefaultOptions has what fits BMCs.
type Options struct {
	// Timeout ends one try of a call.
	Timeout time.Duration
	// Tries is how often a call is tried that fails with a transient error, with Retry between them.
	Tries int
	Retry Backoff
	// Failures is how many calls in a row fail before none is made for a while, and Pause that while.
	Failures int
	Pause    Backoff
	// Idle closes a driver that was not used for so long.
	Idle time.Duration
	// Random draws from [0, 1), and may be called at the same time.
	Random func() float64
}

// DefaultOptions are for BMCs. A healthy one answers within milliseconds, a busy one within seconds; one that hangs takes a
// call 31 s at most and, from the third on, none for up to 5 minutes.
func DefaultOptions() Options {
	return Options{
		Timeout:  15 * time.Second,
		Tries:    2,
		Retry:    Backoff{First: time.Second, Most: 5 * time.Second},
		Failures: 3,
		Pause:    Backoff{First: 15 * time.Second, Most: 5 * time.Minute},
		Idle:     10 * time.Minute,
		Random:   rand.Float64,
	}
}

// Key says which driver.
type Key struct {
	// Endpoint is the device: calls to one are made one after another, and fail together.
	Endpoint string
	// Machine tells the machines behind one device apart.
	Machine string
	// Revision changes when the driver has to be made anew: other settings, another password. It is kept in memory as it
	// is, so it must not have the password in it.
	Revision string
}

// Guards keeps drivers, and with them sessions and the memory of failures, for longer than a reconcile, and sees to it that
// devices are treated with care.
type Guards struct {
	options Options

	mu        sync.Mutex
	endpoints map[string]*endpoint
}

// endpoint is one device.
type endpoint struct {
	// turn is held by the call that is being made.
	turn chan struct{}
	// The rest is held by Guards.mu.
	calls    int // being made or waiting for their turn
	breaker  breaker
	machines map[string]*machine
}

// machine is one driver.
type machine struct {
	revision string    // what is wanted; by Guards.mu
	used     time.Time // by Guards.mu
	driver   Driver    // by the endpoint's turn, or by Guards.mu while it has no calls
	opened   string    // the driver's revision, like driver
}

// NewGuards makes an empty one. Run has to run, or nothing is ever closed.
func NewGuards(options Options) *Guards {
	return &Guards{options: options, endpoints: map[string]*endpoint{}}
}

// Driver is the driver of a machine. Open makes it, when a call needs it. Calls through it are serialised by endpoint,
// bounded in time, retried (all but Cycle, which may have happened), and not made at all for a while when several have
// failed. Closing it does nothing: the session stays for the next one.
//
// It returns at once. A driver of an earlier revision of the same machine is of no use from here on, and the endpoint's
// failures are forgotten.
func (g *Guards) Driver(key Key, open func() (Driver, error)) Driver {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, of := g.find(key)
	if of.revision != key.Revision {
		of.revision = key.Revision
		at.breaker = g.newBreaker()
	}
	return &guarded{guards: g, key: key, open: open}
}

// find returns a machine, made if it is not there.
func (g *Guards) find(key Key) (*endpoint, *machine) {
	at := g.endpoints[key.Endpoint]
	if at == nil {
		at = &endpoint{turn: make(chan struct{}, 1), machines: map[string]*machine{}, breaker: g.newBreaker()}
		g.endpoints[key.Endpoint] = at
	}
	of := at.machines[key.Machine]
	if of == nil {
		of = &machine{revision: key.Revision}
		at.machines[key.Machine] = of
	}
	of.used = time.Now()
	return at, of
}

func (g *Guards) newBreaker() breaker {
	return breaker{limit: g.options.Failures, backoff: g.options.Pause}
}

// Run closes drivers that are not used any more, and all of them when ctx ends.
func (g *Guards) Run(ctx context.Context) error {
	tick := time.NewTicker(max(g.options.Idle/4, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.close(time.Now().Add(-g.options.Idle))
		case <-ctx.Done():
			g.close(time.Now())
			return nil
		}
	}
}

// close closes what was last used at that time or before, where no call is being made.
func (g *Guards) close(before time.Time) {
	var all sync.WaitGroup
	for _, driver := range g.take(before) {
		all.Go(func() { _ = driver.Close() }) // a session that is not closed ends by itself
	}
	all.Wait()
}

func (g *Guards) take(before time.Time) []Driver {
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []Driver
	for name, at := range g.endpoints {
		if at.calls != 0 {
			continue
		}
		for id, of := range at.machines {
			if of.used.After(before) {
				continue
			}
			if of.driver != nil {
				taken = append(taken, of.driver)
			}
			delete(at.machines, id)
		}
		if len(at.machines) == 0 {
			delete(g.endpoints, name)
		}
	}
	return taken
}
