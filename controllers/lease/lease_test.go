package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

const (
	// period makes the Lease last more than a second, the unit in which it says how long it does.
	period        = 250 * time.Millisecond
	happensWithin = 20 * time.Second
)

func newLease(identity string) *Lease {
	return &Lease{Namespace: "here", Name: "mine", Identity: identity, Logger: slog.New(slog.DiscardHandler), period: period}
}

// worker works until it is told to stop, and tells when it begins and ends.
type worker struct{ begun, ended chan struct{} }

func newWorker() worker { return worker{make(chan struct{}, 10), make(chan struct{}, 10)} }

func (w worker) work(ctx context.Context) error {
	w.begun <- struct{}{}
	<-ctx.Done()
	w.ended <- struct{}{}

	return nil
}

func happens[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()

	select {
	case value := <-c:
		return value
	case <-time.After(happensWithin):
		t.Fatalf("%s does not happen", what)

		panic("unreachable")
	}
}

func start(t *testing.T, l *Lease, client kubernetes.Interface, work func(context.Context) error) (stop func() error) {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() { ended <- l.run(ctx, client, work) }()

	return func() error {
		cancel()

		return happens(t, "the end", ended)
	}
}

// TestOneWorks: the second begins when the first has ended, and both are ready all the time.
func TestOneWorks(t *testing.T) {
	client := fake.NewClientset()
	one, other := newLease("one"), newLease("other")
	first, second := newWorker(), newWorker()

	stopOne := start(t, one, client, first.work)
	happens(t, "the first's work", first.begun)

	stopOther := start(t, other, client, second.work)

	seen := func(context.Context) (bool, error) { return other.Ready() == nil, nil }
	if err := wait.PollUntilContextTimeout(t.Context(), period, happensWithin, true, seen); err != nil {
		t.Fatal(other.Ready())
	}

	select {
	case <-second.begun:
		t.Error("the second works beside the first")
	case <-time.After(2 * othersWait * period): // it has tried many times
	}

	if err := stopOne(); err != nil {
		t.Error(err)
	}

	if len(first.ended) != 1 || len(second.ended) != 0 {
		t.Errorf("the first ended %d times, the second %d", len(first.ended), len(second.ended))
	}

	happens(t, "the second's work", second.begun)

	if err := stopOther(); err != nil {
		t.Error(err)
	}

	if other.Ready() == nil {
		t.Error("it is ready when it does not run")
	}
}

// TestRenewalFails: when the Lease cannot be renewed, the work ends before anybody else may take it, and nobody is told
// that it is free before that.
func TestRenewalFails(t *testing.T) {
	client := fake.NewClientset()
	w := newWorker()
	stop := start(t, newLease("one"), client, w.work)
	happens(t, "work", w.begun)

	var freed atomic.Bool

	client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lease := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease) //nolint:forcetypeassert // fails the test
		if *lease.Spec.HolderIdentity == "" && len(w.ended) == 0 {
			freed.Store(true)
		}

		return true, nil, errors.New("the database is slow")
	})

	since := time.Now()
	happens(t, "the end of the work", w.ended)

	if took := time.Since(since); took >= othersWait*period {
		t.Errorf("the work ended after %s, and others may work after %s", took, othersWait*period)
	}

	if freed.Load() {
		t.Error("the lease was free while the work went on")
	}

	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestRestart: what the appliance held itself when it was killed it holds again at once.
func TestRestart(t *testing.T) {
	now := metav1.NewMicroTime(time.Now())
	client := fake.NewClientset(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "here", Name: "mine"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("one"), LeaseDurationSeconds: ptr.To(int32(3600)), AcquireTime: &now, RenewTime: &now,
		},
	})
	w := newWorker()
	stop := start(t, newLease("one"), client, w.work)
	happens(t, "work", w.begun)

	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestLost: when somebody else takes the Lease, the work ends, and is not begun again while it is theirs.
func TestLost(t *testing.T) {
	client := fake.NewClientset()
	l, w := newLease("one"), newWorker()
	stop := start(t, l, client, w.work)
	happens(t, "work", w.begun)

	leases := client.CoordinationV1().Leases("here")

	stored, err := leases.Get(t.Context(), "mine", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	// as the API server does with what is not the newest
	client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lease := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease) //nolint:forcetypeassert // fails the test
		if *lease.Spec.HolderIdentity == "thief" {
			return false, nil, nil
		}

		return true, nil, errors.New("conflict")
	})

	now := metav1.NewMicroTime(time.Now())
	stored.Spec.HolderIdentity, stored.Spec.LeaseDurationSeconds, stored.Spec.RenewTime = ptr.To("thief"), ptr.To(int32(3600)), &now

	if _, err := leases.Update(t.Context(), stored, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	happens(t, "the end of the work", w.ended)

	if err := stop(); err != nil {
		t.Error(err)
	}

	if len(w.begun) != 0 {
		t.Error("it worked again")
	}
}

func TestWorkFails(t *testing.T) {
	broken := errors.New("broken")
	ended := make(chan error, 1)

	go func() {
		ended <- newLease("one").run(t.Context(), fake.NewClientset(), func(context.Context) error { return broken })
	}()

	if err := happens(t, "the end", ended); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestStopWhileWaiting: who only waits stops at once.
func TestStopWhileWaiting(t *testing.T) {
	client := fake.NewClientset()
	w := newWorker()
	stopOne := start(t, newLease("one"), client, w.work)
	happens(t, "work", w.begun)

	stopOther := start(t, newLease("other"), client, func(context.Context) error { return errors.New("it worked") })
	if err := stopOther(); err != nil {
		t.Error(err)
	}

	if err := stopOne(); err != nil {
		t.Error(err)
	}
}

// TestFirstTryFails: an API that does not answer yet is asked again long before the Lease's period is over.
func TestFirstTryFails(t *testing.T) {
	client := fake.NewClientset()
	l, w := newLease("one"), newWorker()
	l.period = happensWithin * 2

	var asked atomic.Int64

	client.PrependReactor("get", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return asked.Add(1) == 1, nil, errors.New("the API server starts")
	})

	stop := start(t, l, client, w.work)
	happens(t, "work", w.begun)

	if err := stop(); err != nil {
		t.Error(err)
	}
}
