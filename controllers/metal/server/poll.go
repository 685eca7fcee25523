package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// pollEvery is how often a machine's power is looked at, jittered so that many do not answer at the same moment.
const pollEvery = time.Minute

// reading is what was seen of a machine's power last. Its state is empty until it was asked for.
type reading struct {
	state power.State
	err   error
}

// poller looks at the power of machines, each on its own: one that does not answer delays no other.
type poller struct {
	every time.Duration
	// changed is told the server whose reading has changed.
	changed func(server string)

	mu       sync.Mutex
	machines map[string]*polled
}

// polled is one machine. Its fields but wake are held by the poller's mu.
type polled struct {
	driver power.Driver
	last   reading
	wake   chan struct{}
	stop   context.CancelFunc
}

// follow looks at a machine's power from here on, by this driver, until forget or ctx ends, and returns what was seen last.
func (p *poller) follow(ctx context.Context, server string, driver power.Driver) reading {
	p.mu.Lock()
	defer p.mu.Unlock()

	if m := p.machines[server]; m != nil {
		m.driver = driver

		return m.last
	}

	ctx, stop := context.WithCancel(ctx)
	m := &polled{driver: driver, wake: make(chan struct{}, 1), stop: stop}
	p.machines[server] = m

	go p.run(ctx, server, m)

	return reading{}
}

// forget ends looking at a machine.
func (p *poller) forget(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if m := p.machines[server]; m != nil {
		m.stop()
		delete(p.machines, server)
	}
}

// expect is told what a machine's power should be now, after it was switched, and has it looked at soon.
func (p *poller) expect(server string, state power.State) {
	p.mu.Lock()
	defer p.mu.Unlock()

	m := p.machines[server]
	if m == nil {
		return
	}

	m.last = reading{state: state}

	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (p *poller) run(ctx context.Context, server string, m *polled) {
	for {
		p.look(ctx, server, m)

		// Between half and all of the interval.
		pause := time.NewTimer(p.every/2 + rand.N(p.every/2)) //nolint:gosec // nobody is to be surprised

		select {
		case <-ctx.Done():
			pause.Stop()

			return
		case <-m.wake:
			// BMCs need a moment before they tell the truth about what they were just told to do.
			pause.Reset(p.every / 12)

			select {
			case <-ctx.Done():
				pause.Stop()

				return
			case <-pause.C:
			}
		case <-pause.C:
		}
	}
}

// look asks once.
func (p *poller) look(ctx context.Context, server string, m *polled) {
	p.mu.Lock()
	driver, before := m.driver, m.last
	p.mu.Unlock()

	state, err := driver.State(ctx)
	if ctx.Err() != nil {
		return
	}

	if err != nil {
		state = power.Unknown
	}

	p.mu.Lock()
	expected := m.last != before // it was switched while it was asked
	if !expected {
		m.last = reading{state, err}
	}
	p.mu.Unlock()

	if !expected && (before.state != state || text(before.err) != text(err)) {
		p.changed(server)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}
