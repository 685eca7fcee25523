package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Component is one part of the appliance that runs.
type Component interface {
	// Name is a short lower-case noun, used in logs, errors and /readyz.
	Name() string
	// Run works until ctx ends, then stops cleanly and returns nil. It returns
	// early only with an error.
	Run(ctx context.Context) error
	// Ready returns nil while the component serves, else why it does not.
	// It is asked often, from several goroutines, also before Run was called.
	Ready(ctx context.Context) error
}

// Drainer is a component that lets running work finish when it is stopped. The
// time it takes does not count towards [Config.StopTimeout].
type Drainer interface {
	// DrainTimeout is the longest time that stopping may take.
	DrainTimeout() time.Duration
}

// Draining returns the component as a [Drainer] with the given limit.
func Draining(c Component, limit time.Duration) Component { return drainer{c, limit} }

type drainer struct {
	Component
	limit time.Duration
}

// DrainTimeout implements [Drainer].
func (d drainer) DrainTimeout() time.Duration { return d.limit }

// Config is what a supervisor needs. Components and Log are required; a zero
// duration means the value in [Defaults].
type Config struct {
	// Components in the order in which they start.
	Components []Component
	Log        *slog.Logger
	// StartTimeout bounds the time from starting one component to its being ready.
	StartTimeout time.Duration
	// StopTimeout bounds the time that stopping takes, all components together,
	// except those that are a [Drainer].
	StopTimeout time.Duration
	// OnReady, if set, is called once, when the last component is ready.
	OnReady func()
	// OnStop, if set, is called once, before the first component is stopped.
	OnStop func()
}

// Defaults returns the time limits that a zero Config uses.
func Defaults() Config {
	return Config{StartTimeout: 2 * time.Minute, StopTimeout: 10 * time.Second}
}

const (
	// firstPoll and lastPoll are the shortest and longest pauses between two
	// questions whether a starting component is ready.
	firstPoll = 2 * time.Millisecond
	lastPoll  = 20 * time.Millisecond
	// startGrace is how long a component that is starting when the stop begins may
	// take to finish that. Interrupted, the API server complains of a dozen things
	// that it was about to do.
	startGrace = 4 * time.Second
	// nagEvery is how often a component that takes long to start is named in the log.
	nagEvery = 10 * time.Second
)

var (
	errNotStarted = errors.New("not started yet")
	errStopping   = errors.New("stopping")
	errEndedEarly = errors.New("ended without being told to")
	errOverstayed = errors.New("still running after its time to stop")
)

// Supervisor runs components; make one with [New].
type Supervisor struct {
	cfg   Config
	log   *slog.Logger
	ended chan *running // one entry for each component that returned

	mu       sync.Mutex
	started  []*running
	stopping bool
}

// running is a component whose Run was called.
type running struct {
	Component
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned; err is set by then
	err    error
}

// New returns a supervisor that has started nothing yet.
func New(cfg Config) *Supervisor {
	defaults := Defaults()
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = defaults.StartTimeout
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = defaults.StopTimeout
	}
	return &Supervisor{cfg: cfg, log: cfg.Log, ended: make(chan *running, len(cfg.Components))}
}

// Run starts the components, waits until ctx ends or a component fails, stops
// them, and returns what went wrong: nil after a clean start and stop.
// It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	begin := time.Now()
	err := s.start(ctx)
	if err == nil && ctx.Err() == nil {
		s.log.Info("all components are ready", "duration", time.Since(begin))
		err = s.watch(ctx)
	}
	return errors.Join(err, s.stop())
}

// start brings the components up one after the other. It returns nil, with
// some of them not started, when ctx ends first.
func (s *Supervisor) start(ctx context.Context) error {
	for _, c := range s.cfg.Components {
		begin := time.Now()
		r := s.launch(c)
		if err := s.waitReady(ctx, r); err != nil {
			return fmt.Errorf("start %s: %w", c.Name(), err)
		}
		if ctx.Err() != nil {
			return nil
		}
		s.log.Info("component is ready", "component", c.Name(), "duration", time.Since(begin))
	}
	return nil
}

// launch runs the component on a goroutine and a context of its own.
func (s *Supervisor) launch(c Component) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Component: c, cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.started = append(s.started, r)
	s.mu.Unlock()
	go func() {
		r.err = c.Run(ctx)
		close(r.done)
		s.ended <- r
	}()
	return r
}

// waitReady returns nil when the component is ready, or not yet a moment after ctx
// has ended.
func (s *Supervisor) waitReady(ctx context.Context, r *running) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.StartTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(startGrace, cancel) })()
	nag := time.NewTicker(nagEvery)
	defer nag.Stop()
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		reason := r.Ready(limit)
		if reason == nil {
			return nil
		}
		poll := time.NewTimer(pause)
		select {
		case <-poll.C:
		case early := <-s.ended:
			return early.failure(r)
		case <-nag.C:
			s.log.Info("still waiting for component", "component", r.Name(), "reason", reason.Error())
		case <-limit.Done():
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("not ready after %s: %w", s.cfg.StartTimeout, reason)
		}
		poll.Stop()
	}
}

// failure is why a component that was not told to stop returned, as seen while
// starting the component at.
func (r *running) failure(at *running) error {
	err := r.err
	if err == nil {
		err = errEndedEarly
	}
	if r == at {
		return err
	}
	return fmt.Errorf("run %s: %w", r.Name(), err)
}

// watch returns when ctx ends, or when a component returns by itself.
func (s *Supervisor) watch(ctx context.Context) error {
	if s.cfg.OnReady != nil {
		s.cfg.OnReady()
	}
	select {
	case <-ctx.Done():
		return nil
	case early := <-s.ended:
		return early.failure(nil)
	}
}
