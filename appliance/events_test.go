package appliance

import (
	"context"
	"errors"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/tools/events"
)

// slowSink writes when it is let.
type slowSink struct {
	events.EventSink

	begun, let chan struct{}
}

func (s *slowSink) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	close(s.begun)
	<-s.let
	return event, ctx.Err()
}

// TestWholeSink stops while an Event is being written: that is finished, and no other begun.
func TestWholeSink(t *testing.T) {
	slow := &slowSink{begun: make(chan struct{}), let: make(chan struct{})}
	sink := &wholeSink{to: slow}
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		_, err := sink.Create(ctx, &eventsv1.Event{})
		written <- err
	}()
	<-slow.begun
	stop()
	if sink.writing.TryLock() {
		t.Error("an Event is being written, and nobody would wait for it")
	}
	close(slow.let)
	sink.close()
	if err := <-written; err != nil {
		t.Errorf("cut off: %v", err)
	}
	if _, err := sink.Create(ctx, &eventsv1.Event{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
