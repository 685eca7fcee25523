package kube

import (
	"context"
	"reflect"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
)

const (
	// settles is how long the controllers take at most from their informers' sync, or from news of what is served, until each has noticed
	// it: they look from time to time, and the garbage collector works through what there is first.
	settles = 2 * time.Second
	// settlesAtMost bounds how long a stop waits for informers of something that does not answer.
	settlesAtMost = 5 * time.Second
	settlingPoll  = 50 * time.Millisecond
)

// settling tells whether the controllers may be stopped: a garbage collector that is stopped while it gets to know what is served says
// that something is wrong. It is what the collector asks for that, so it knows when there was news, and gives it none once a stop has begun.
type settling struct {
	discovery.ServerResourcesInterface

	mu      sync.Mutex
	served  []*metav1.APIResourceList
	news    time.Time
	stopped bool
}

// ServerPreferredResources implements discovery.ServerResourcesInterface. No resources mean to the collector that there is nothing new;
// its first question is answered even while it stops, because it waits for that answer.
func (s *settling) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	served, err := s.ServerResourcesInterface.ServerPreferredResources()

	s.mu.Lock()
	defer s.mu.Unlock()

	if s.stopped && s.served != nil {
		return nil, nil
	}

	if !reflect.DeepEqual(served, s.served) {
		s.served, s.news = served, time.Now()
	}

	return served, err
}

// settle keeps further news from the collector, and waits until what it was told of is synced and noticed, or for too long.
func (s *settling) settle(synced func() bool) {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), settlesAtMost)
	defer cancel()

	//nolint:errcheck // the stop goes on when this takes too long, and the collector says why
	_ = wait.PollUntilContextCancel(ctx, settlingPoll, true, func(context.Context) (bool, error) {
		return synced() && s.isOld(), nil
	})
}

// isOld tells whether the last news was long enough ago to have been noticed.
func (s *settling) isOld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return time.Since(s.news) >= settles
}
