package server

import (
	"cmp"
	"context"
	"errors"
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
	// told is what the machine was switched to, as long as it may still need time to show that.
	told power.State
	// defies tells that it had that time, and did not do as it was told.
	defies bool
}

// settled is the state that the machine has, or is about to have.
func (r reading) settled() power.State { return cmp.Or(r.told, r.state) }

// then is the reading that follows when a machine shows this state, and whether what it was told may still need time.
func (r reading) then(state power.State, err error, patient bool) reading {
	next := reading{state: state, err: err, defies: r.defies}

	switch {
	case err == nil && state == r.told:
		next.defies = false
	case r.told != "" && patient:
		next.told = r.told
	case r.told != "" && err == nil:
		next.defies = true
	case err == nil && state != r.state && r.state != power.Unknown:
		next.defies = false // somebody else has switched it
	}

	return next
}

// same tells whether two readings say the same to people.
func (r reading) same(other reading) bool {
	return r.state == other.state && r.told == other.told && r.defies == other.defies && text(r.err) == text(other.err)
}

// poller looks at the power of machines, each on its own: one that does not answer delays no other.
type poller struct {
	every time.Duration
	// changed is told the server whose reading has changed, until it says that it has taken that.
	changed func(server string) bool

	mu       sync.Mutex
	machines map[string]*polled
}

// polled is one machine. Its fields but wake are held by the poller's mu.
type polled struct {
	driver power.Driver
	// settings stand for what the driver is made of.
	settings string
	last     reading
	// untold tells that the reading has changed and nobody knows yet.
	untold bool
	// switches counts how often it was switched, switched is when that was last.
	switches int
	switched time.Time

	wake chan struct{}
	stop context.CancelFunc
}

// follow looks at a machine's power from here on, by this control, until forget or ctx ends, and returns what was seen last.
func (p *poller) follow(ctx context.Context, server string, by *control) reading {
	p.mu.Lock()
	defer p.mu.Unlock()

	if m := p.machines[server]; m != nil {
		m.driver = by.driver

		if m.settings != by.settings { // what was seen may be of another machine, or of a password that was wrong
			m.settings, m.last = by.settings, reading{}
			m.switches++
			m.lookSoon()
		}

		return m.last
	}

	ctx, stop := context.WithCancel(ctx)
	m := &polled{driver: by.driver, settings: by.settings, wake: make(chan struct{}, 1), stop: stop}
	p.machines[server] = m

	go p.run(ctx, server, m)

	return reading{}
}

// last is what was seen of a machine last, if it is looked at.
func (p *poller) last(server string) (reading, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	m := p.machines[server]
	if m == nil {
		return reading{}, false
	}

	return m.last, true
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

// expect is told what a machine's power should be now, after it was switched, and has it looked at soon. What a person has
// asked for is a new beginning: whether the machine obeys is open again.
func (p *poller) expect(server string, state power.State, asked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	m := p.machines[server]
	if m == nil {
		return
	}

	m.last.told, m.switched = state, time.Now()
	m.last.defies = m.last.defies && !asked
	m.switches++
	m.lookSoon()
}

// lookSoon has the machine looked at before its time.
func (m *polled) lookSoon() {
	select {
	case m.wake <- struct{}{}:
	default: // it will be
	}
}

// failed is told why a machine could not be switched. That counts until it is looked at the next time: what was seen before says
// nothing of whether the control works.
func (p *poller) failed(server string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if m := p.machines[server]; m != nil {
		m.last.err = err
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
			// BMCs need a moment before they tell the truth about what they were just told to do, or work again.
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
	driver, switches := m.driver, m.switches
	p.mu.Unlock()

	state, err := driver.State(ctx)
	if ctx.Err() != nil || errors.Is(err, power.ErrSuperseded) { // the next look is by the new driver
		return
	}

	if err != nil {
		state = power.Unknown
	}

	p.mu.Lock()

	if m.switches != switches { // while it was asked: what it said is of before
		p.mu.Unlock()

		return
	}

	// Not what was known when it was asked: a switch may have failed since.
	before := m.last
	now := before.then(state, err, time.Since(m.switched) < p.every)
	m.last = now
	m.untold = m.untold || !now.same(before)
	news := m.untold
	p.mu.Unlock()

	// The next time it may answer: the server is not ready until then, nor told anything while it may still need time for the last.
	if now.err != nil && (before.err == nil || now.told != "") {
		m.lookSoon()
	}

	if news && p.changed(server) {
		p.mu.Lock()
		m.untold = false
		p.mu.Unlock()
	}
}

// text is what an error says of the machine: how often and until when it is left alone changes all the time.
func text(err error) string {
	if err == nil {
		return ""
	}

	var open *power.OpenError
	if errors.As(err, &open) {
		err = open.Cause
	}

	return err.Error()
}
