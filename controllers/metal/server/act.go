package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// errChanged is for an action that was not taken, because it may not be due any more.
var errChanged = errors.New("the server has changed meanwhile: look at it, and ask again if it is still right")

// target is what a decision is carried out on.
type target struct {
	server  *v1alpha2.Server
	binding *v1alpha3.ServerBinding
	control *control
}

// act switches the machine's power as decided.
func (r *Reconciler) act(ctx context.Context, on target, d Decision) error {
	if d.Action == NoAction || on.control == nil {
		return nil
	}

	driver := on.control.driver

	if d.Action != TurnOff && !d.Plain {
		if err := driver.BootFromNetwork(ctx, r.firmware(on.server)); err != nil && !needsPerson(err) {
			return fmt.Errorf("have it boot from the network: %w", err)
		}

		// A slow BMC takes half a minute for that, in which a person may have thought better of it.
		if err := r.stillDue(ctx, on); err != nil {
			return err
		}
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

	if on.control.blind {
		r.sent.Store(on.server.Name, time.Now())
	}

	r.poller.expect(on.server.Name, state, d.Request)

	return nil
}

// sentTo is when a server's blind control was used last.
func (r *Reconciler) sentTo(server string) time.Time {
	when, _ := r.sent.Load(server)
	at, _ := when.(time.Time)

	return at
}

// stillDue tells whether a server is accepted and allocated as it was when the decision was made.
func (r *Reconciler) stillDue(ctx context.Context, on target) error {
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

	same := now.UID == on.server.UID && now.Spec.Accepted == on.server.Spec.Accepted && now.Duplicate() == on.server.Duplicate() &&
		now.DeletionTimestamp.IsZero() == on.server.DeletionTimestamp.IsZero() && (binding == nil) == (on.binding == nil)
	if !same {
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
