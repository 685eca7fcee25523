package kube

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
)

// served is a server that serves what a test says.
type served struct {
	discovery.ServerResourcesInterface

	lists []*metav1.APIResourceList
}

func (s *served) ServerPreferredResources() ([]*metav1.APIResourceList, error) { return s.lists, nil }

func lists(groupVersions ...string) (lists []*metav1.APIResourceList) {
	for _, groupVersion := range groupVersions {
		lists = append(lists, &metav1.APIResourceList{GroupVersion: groupVersion})
	}

	return lists
}

// TestSettle stops the collector some time after it was told what is served, which is synced some time after that.
func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		again             []*metav1.APIResourceList
		after, syncs, min time.Duration
	}{
		"long after":          {after: time.Minute, min: 0},
		"at once":             {min: settles},
		"the same, once more": {again: lists("v1"), after: 3 * time.Second, min: 0},
		"news":                {again: lists("v1", "example.com/v1"), after: time.Second, min: settles - time.Second},
		"news that sync late": {again: lists("v1", "example.com/v1"), syncs: 4 * time.Second, min: 4 * time.Second},
		"never synced":        {syncs: time.Hour, min: settlesAtMost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &served{lists: lists("v1")}
				s := &settling{ServerResourcesInterface: source}
				ask(t, s, 1)

				if c.again != nil {
					time.Sleep(time.Minute)
					source.lists = c.again
					ask(t, s, len(c.again))
				}

				time.Sleep(c.after)
				told := time.Now()
				s.settle(func() bool { return time.Since(told) >= c.syncs })

				if took := time.Since(told); took < c.min || took > c.min+settlingPoll {
					t.Errorf("settled after %s, want %s", took, c.min)
				}

				source.lists = lists("v1", "example.com/v2")
				ask(t, s, 0)
			})
		})
	}
}

// TestSettleBeforeTheFirstQuestion answers a collector that is stopped before it asked.
func TestSettleBeforeTheFirstQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &settling{ServerResourcesInterface: &served{lists: lists("v1")}, news: time.Now()}
		settled := make(chan struct{})

		var synced atomic.Bool

		go func() {
			defer close(settled)
			s.settle(synced.Load)
		}()

		time.Sleep(time.Second)
		ask(t, s, 1)
		synced.Store(true)
		ask(t, s, 0)
		<-settled
	})
}

// ask asks what is served and expects a number of lists.
func ask(t *testing.T, s *settling, want int) {
	t.Helper()

	lists, err := s.ServerPreferredResources()
	if err != nil || len(lists) != want {
		t.Errorf("served: %v %v, want %d", lists, err, want)
	}
}
