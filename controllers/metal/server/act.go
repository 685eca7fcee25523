package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// errChanged is for an action that was not taken, because it may not be due any more.
var errChanged = errors.New("the server has changed meanwhile: look at it, and ask again if it is still right")

// target is what a decision is carried out on.
type target struct {
	server *v1alpha2.Server
	view   view
	// asked is what a person has asked for, and is taken up.
	asked Action
}

// act switches the machine's power as decided.
func (r *Reconciler) act(ctx context.Context, on target, d Decision) error {
	if d.Action == NoAction || on.view.control == nil {
		return nil
	}

	// A slow BMC takes minutes for all this, others that wait for it before included, in which a person may have thought better of it.
	driver := power.When(on.view.control.driver, func(ctx context.Context) error { return r.stillDue(ctx, on, d) })

	var refusal error

	if d.Action != TurnOff && !d.Plain {
		err := driver.BootFromNetwork(ctx, r.firmware(on.server))
		if refusal = refused(err); err != nil && refusal == nil && !needsPerson(err) {
			return fmt.Errorf("have it boot from the network: %w", err)
		}
	}

	if err := r.starts(ctx, on.server, d); err != nil {
		return err
	}

	state := power.On

	var err error

	switch d.Action {
	case TurnOn:
		err = driver.On(ctx)
	case TurnOff:
		state, err = power.Off, driver.Off(ctx)
	case Restart:
		err = driver.Cycle(ctx)
	}

	if err != nil {
		return fmt.Errorf("turn it %s: %w", d.Action, err)
	}

	if on.view.control.blind {
		r.sent.Store(on.server.Name, time.Now())
	}

	if d.Marks {
		r.started.Store(on.server.Name, start{on.server.UID, time.Now()})
	}

	r.poller.expect(on.server.Name, state, d.Request)

	if refusal != nil && !on.view.reading.defies {
		r.events.Eventf(on.server, nil, corev1.EventTypeWarning, eventManagement, "BootFromNetwork",
			"it was started without being told to boot from the network: %v", refusal)
	}

	return nil
}

// refused is the error of a control that cannot choose what the machine boots from, as of boxes that add remote control to machines without
// a BMC, or that keeps something else: the machine is started all the same, and comes if its own boot order begins with the network.
func refused(err error) error {
	if needsPerson(err) || power.ClassOf(err) != power.Refused {
		return nil
	}

	return err
}

// startsAgain is how long a start need not be written again that is repeated because it failed. What is asked for is done once.
const startsAgain = time.Minute

// starts writes that a machine in use is about to be started, before that is done: it may then fetch its configuration.
func (r *Reconciler) starts(ctx context.Context, s *v1alpha2.Server, d Decision) error {
	if !d.InUse || d.Action == TurnOff {
		return nil
	}

	last := s.Status.StartedAt
	if !d.Request && last != nil && time.Since(last.Time) < startsAgain && time.Since(last.Time) >= 0 {
		return nil
	}

	before := s.DeepCopy()
	s.Status.StartedAt = &metav1.MicroTime{Time: time.Now()}

	// With a lock, so that what is recorded after this is of the Server that was decided about.
	err := r.client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return errChanged
	}

	if err != nil {
		return fmt.Errorf("write that server %s is started: %w", s.Name, err)
	}

	return nil
}

// sentTo is when a server's blind control was used last.
func (r *Reconciler) sentTo(server string) time.Time {
	when, _ := r.sent.Load(server)
	at, _ := when.(time.Time)

	return at
}

// start is when a machine was started for a wipe.
type start struct {
	of types.UID
	at time.Time
}

// startedAt is when a server's machine was started for a wipe, if that is not written. Once it is clean that counts no more.
func (r *Reconciler) startedAt(s *v1alpha2.Server) time.Time {
	value, _ := r.started.Load(s.Name)

	last, ok := value.(start)
	if !ok || last.of == s.UID && !s.Status.IsClean {
		return last.at
	}

	r.started.CompareAndDelete(s.Name, last)

	return time.Time{}
}

// stillDue decides again, by what is the case now, and is errChanged when that is not the same.
func (r *Reconciler) stillDue(ctx context.Context, on target, d Decision) error {
	now := &v1alpha2.Server{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(on.server), now); err != nil {
		if apierrors.IsNotFound(err) {
			return errChanged
		}

		return fmt.Errorf("read server %s: %w", on.server.Name, err)
	}

	binding, err := r.binding(ctx, on.server.Name)
	if err != nil {
		return err
	}

	seen := on.view
	if last, ok := r.poller.last(on.server.Name); ok {
		seen.reading = last
	}

	known := facts(now, binding, seen, r.config.RebootTimeout)
	known.Asked = cmp.Or(on.asked, known.Asked)

	if known.Unclear, err = r.unclear(ctx, now, binding); err != nil {
		return err
	}

	if now.UID != on.server.UID || !d.does(Next(known)) {
		return errChanged
	}

	return nil
}

func (r *Reconciler) firmware(s *v1alpha2.Server) power.Firmware {
	if s.Spec.PXEMode != "" {
		return power.Firmware(s.Spec.PXEMode)
	}

	return r.config.Firmware
}

func needsPerson(err error) bool {
	var person *power.NeedsPersonError

	return errors.As(err, &person)
}
