package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
)

// eventWithin is how long an Event may still take that is being written when the appliance stops.
const eventWithin = 2 * time.Second

// eventWriter is the component that writes Events to the API.
type eventWriter struct {
	name        string
	broadcaster events.EventBroadcaster
	sink        *wholeSink
	running     atomic.Bool
}

func newEventWriter(name string, config *rest.Config) (*eventWriter, error) {
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client for events: %w", err)
	}
	sink := &wholeSink{to: &events.EventSinkImpl{Interface: c.EventsV1()}}
	return &eventWriter{name: name, sink: sink, broadcaster: events.NewBroadcaster(sink)}, nil
}

// Name implements supervisor.Component.
func (w *eventWriter) Name() string { return w.name }

// Ready implements supervisor.Component.
func (w *eventWriter) Ready(context.Context) error {
	if !w.running.Load() {
		return errors.New("not recording")
	}
	return nil
}

// Run implements supervisor.Component.
func (w *eventWriter) Run(ctx context.Context) error {
	if err := w.broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	w.running.Store(true)
	<-ctx.Done()
	w.running.Store(false)
	w.broadcaster.Shutdown()
	w.sink.close()
	return nil
}

// wholeSink finishes what it has begun to write when the appliance stops: the API server calls it an error of its own when whoever asked
// hangs up.
type wholeSink struct {
	to events.EventSink

	// writing is held for reading by each write, and at the end for good.
	writing sync.RWMutex
	closed  bool
}

// write does one, unless the sink is closed.
func (s *wholeSink) write(ctx context.Context, do func(context.Context) (*eventsv1.Event, error)) (*eventsv1.Event, error) {
	s.writing.RLock()
	defer s.writing.RUnlock()
	if s.closed {
		return nil, context.Canceled
	}
	whole, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	// From the stop on, not before: in a hall of machines a write waits its turn for longer.
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(eventWithin, done) })
	defer stop()
	return do(whole)
}

// close waits for what is being written.
func (s *wholeSink) close() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.closed = true
}

// Create implements events.EventSink.
func (s *wholeSink) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return s.write(ctx, func(ctx context.Context) (*eventsv1.Event, error) { return s.to.Create(ctx, event) })
}

// Update implements events.EventSink.
func (s *wholeSink) Update(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return s.write(ctx, func(ctx context.Context) (*eventsv1.Event, error) { return s.to.Update(ctx, event) })
}

// Patch implements events.EventSink.
func (s *wholeSink) Patch(ctx context.Context, event *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	return s.write(ctx, func(ctx context.Context) (*eventsv1.Event, error) { return s.to.Patch(ctx, event, data) })
}
