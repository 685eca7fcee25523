// Package lease has a set of controllers work only while it holds the Lease that upstream's manager of the same set takes.
// So a manager that runs elsewhere waits while the appliance works, and the appliance while that one does.
package lease

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// How often a Lease is renewed, and how many such times its holder tries before it gives up, and others wait before they
// take it. Upstream's managers renew five times as often. A Lease that is kept in the same process's database seldom fails
// to be renewed, but when the disk is busy; and each renewal is a write, for ever. A manager that waits goes by what the
// Lease says.
const (
	renewal     = 10 * time.Second
	holderTries = 4
	othersWait  = 6

	giveBackWithin = 3 * time.Second
)

// Lease is one of upstream's.
type Lease struct {
	Client    *rest.Config
	Namespace string
	Name      string
	// Identity is written into the Lease. It is nobody else's, and the same after a restart, so that the appliance need not wait
	// for what it held itself to end.
	Identity string
	Logger   *slog.Logger

	holder atomic.Pointer[string]
	// period is how often the Lease is renewed; tests shorten it.
	period time.Duration
}

// Ready tells whether the Lease is held, here or elsewhere: either way its set is taken care of.
func (l *Lease) Ready() error {
	if l.holder.Load() == nil {
		return fmt.Errorf("lease %s/%s is not held by anybody", l.Namespace, l.Name)
	}

	return nil
}

// Mine tells whether the Lease is held here.
func (l *Lease) Mine() bool {
	holder := l.holder.Load()

	return holder != nil && *holder == l.Identity
}

// Run calls work whenever the Lease is held, with a context that ends when it is lost, until ctx ends. It returns when
// work has returned; an error of work's ends it too.
func (l *Lease) Run(ctx context.Context, work func(context.Context) error) error {
	client, err := kubernetes.NewForConfig(l.Client)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}

	return l.run(ctx, client, work)
}

func (l *Lease) run(ctx context.Context, client kubernetes.Interface, work func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := l.term(ctx, client, work); err != nil {
			return err
		}
	}

	return nil
}

// term waits for the Lease, works, and gives it back or loses it.
func (l *Lease) term(ctx context.Context, client kubernetes.Interface, work func(context.Context) error) error {
	election, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	t := &term{work: work, stopped: ctx.Done(), begun: make(chan struct{}), ended: make(chan error, 1), stop: stop}
	defer context.AfterFunc(ctx, t.finish)()

	period := cmp.Or(l.period, renewal)

	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: eager{begun: t.begun, period: period, Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.Identity},
		}},
		Name:          l.Name,
		LeaseDuration: othersWait * period, RenewDeadline: holderTries * period, RetryPeriod: period,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: t.run, OnStoppedLeading: func() {}, OnNewLeader: l.seen,
		},
	})
	if err != nil {
		return fmt.Errorf("set up election for %s: %w", l.Name, err)
	}

	elector.Run(election)

	defer l.holder.Store(nil)

	select {
	case <-t.begun:
	default:
		return nil
	}

	lost := election.Err() == nil
	if lost {
		l.Logger.Warn("lost a lease; its controllers stop until it is held again", "lease", l.Name)
	}

	err = <-t.ended

	// Here and not by the election, which gives it back, or tries to, before it tells the work to end.
	if !lost {
		l.giveBack(context.WithoutCancel(ctx), client)
	}

	if err != nil {
		return fmt.Errorf("work under lease %s: %w", l.Name, err)
	}

	return nil
}

// giveBack lets others have the Lease at once. If it fails they wait until it ends.
func (l *Lease) giveBack(ctx context.Context, client kubernetes.Interface) {
	ctx, cancel := context.WithTimeout(ctx, giveBackWithin)
	defer cancel()

	leases := client.CoordinationV1().Leases(l.Namespace)

	held, err := leases.Get(ctx, l.Name, metav1.GetOptions{})
	if err == nil && held.Spec.HolderIdentity != nil && *held.Spec.HolderIdentity == l.Identity {
		held.Spec.HolderIdentity = new("")
		_, err = leases.Update(ctx, held, metav1.UpdateOptions{})
	}

	if err != nil {
		l.Logger.Warn("cannot give a lease back; others have to wait until it ends", "lease", l.Name, "error", err)
	}
}

// term is the time for which a Lease is held once. The work ends before the Lease is given back.
type term struct {
	work    func(context.Context) error
	stopped <-chan struct{}
	begun   chan struct{}
	ended   chan error
	stop    func()
}

func (t *term) run(held context.Context) {
	close(t.begun)
	defer t.stop()

	ctx, cancel := context.WithCancel(held)
	defer cancel()

	go func() {
		select {
		case <-t.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()

	t.ended <- t.work(ctx)
}

// finish ends the election of a Lease that was never held. One that is held is given back by run.
func (t *term) finish() {
	select {
	case <-t.begun:
	default:
		t.stop()
	}
}

func (l *Lease) seen(holder string) {
	if holder == "" {
		l.holder.Store(nil)

		return
	}

	l.holder.Store(&holder)

	if holder != l.Identity {
		l.Logger.Info("another manager works in place of the appliance's controllers, which wait", "lease", l.Name, "holder", holder)
	}
}
