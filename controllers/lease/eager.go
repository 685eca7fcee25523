package lease

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// firstRetries is into how many parts the time between two tries for a Lease is cut when the first fails.
const firstRetries = 40

// eager is a Lease that is asked again soon when the API does not answer, until it is held: an election leaves it alone for a
// whole period, and nothing works meanwhile. That it is somebody else's, or not there, is an answer.
type eager struct {
	resourcelock.Interface

	begun  <-chan struct{}
	period time.Duration
}

// Get implements resourcelock.Interface.
func (e eager) Get(ctx context.Context) (record *resourcelock.LeaderElectionRecord, raw []byte, err error) {
	err = e.insist(ctx, func() error {
		record, raw, err = e.Interface.Get(ctx)

		return err
	})

	return record, raw, err
}

// Create implements resourcelock.Interface.
func (e eager) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return e.insist(ctx, func() error { return e.Interface.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (e eager) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return e.insist(ctx, func() error { return e.Interface.Update(ctx, record) })
}

// insist tries for as long as the election would wait.
func (e eager) insist(ctx context.Context, try func() error) error {
	end := time.Now().Add(e.period)

	for wait := e.period / firstRetries; ; wait *= 2 {
		err := try()
		if answered(err) || time.Now().Add(wait).After(end) {
			return err
		}

		select {
		case <-e.begun:
			return err
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

func answered(err error) bool {
	return err == nil || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err)
}
