package supervisor

import (
	"errors"
	"fmt"
	"time"
)

// stop ends what was started, last first, each after the one above it has
// returned, and reports what did not end well.
func (s *Supervisor) stop() error {
	s.mu.Lock()
	s.stopping = true
	started := s.started
	s.mu.Unlock()
	if s.cfg.OnStop != nil {
		s.cfg.OnStop()
	}
	begin := time.Now()
	budget := newBudget(s.cfg.StopTimeout, len(started))
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		errs = append(errs, s.stopOne(started[i], budget))
	}
	s.log.Info("all components have stopped", "duration", time.Since(begin))
	return errors.Join(errs...)
}

// stopOne cancels one component and waits for it, no longer than the budget allows.
func (s *Supervisor) stopOne(r *running, b *budget) error {
	begin := time.Now()
	alreadyEnded := r.hasEnded() // its error, if any, is why we stop: said already
	r.cancel()
	timer := time.NewTimer(b.grant(r.Component))
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		b.spend(r.Component, time.Since(begin))
		s.log.Error("component did not stop in time", "component", r.Name(), "duration", time.Since(begin))
		return fmt.Errorf("stop %s: %w", r.Name(), errOverstayed)
	}
	b.spend(r.Component, time.Since(begin))
	if alreadyEnded {
		s.log.Warn("component had already ended", "component", r.Name(), "error", r.err)
		return nil
	}
	s.log.Info("component has stopped", "component", r.Name(), "duration", time.Since(begin))
	if r.err != nil {
		return fmt.Errorf("stop %s: %w", r.Name(), r.err)
	}
	return nil
}

func (r *running) hasEnded() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// budget shares a limited time to stop among components.
type budget struct {
	left    time.Duration // for all that still run
	waiting int           // components that were not asked to stop yet
	reserve time.Duration // kept back for each of them
}

// reservedParts of the whole time are kept back for each component further
// down: one that hangs must not take from the database the moment that it needs
// to close its files.
const reservedParts = 20

func newBudget(total time.Duration, components int) *budget {
	parts := max(reservedParts, 2*components)
	return &budget{left: total, waiting: components, reserve: total / time.Duration(parts)}
}

// grant is the longest time that the next component may take.
func (b *budget) grant(c Component) time.Duration {
	b.waiting--
	if d, ok := c.(Drainer); ok {
		return d.DrainTimeout()
	}
	return b.left - time.Duration(b.waiting)*b.reserve
}

// spend takes off what stopping the component took.
func (b *budget) spend(c Component, took time.Duration) {
	if _, ok := c.(Drainer); ok {
		return
	}
	b.left -= took
}
