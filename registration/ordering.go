package registration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

// holds is how long a machine waits for an answer when there is nothing new.
const holds = 50 * time.Second

// Wait implements api.OrdersServer. The cache tells when to look, and never more than that: what a machine is told beyond to
// stay was read from the API at that moment.
func (s *Service) Wait(ctx context.Context, request *api.WaitRequest) (*api.WaitResponse, error) {
	name, err := s.who(ctx, request.GetUuid())
	if err != nil {
		return nil, err
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	if request.GetState() == api.State_RETRYING {
		if err := s.stillHere(ctx, name); err != nil {
			return nil, s.fail(ctx, log, "update status", err)
		}
	}

	changed, leave := s.waiters.join(name)
	defer leave()

	held := time.NewTimer(cmp.Or(s.config.Hold, holds))
	defer held.Stop()

	for {
		next, err := s.next(ctx, name, request.GetSequence())
		if err != nil {
			return nil, s.fail(ctx, log, "read server", err)
		}

		if next.GetSequence() != request.GetSequence() {
			stands, err := s.stands(ctx, name, next.GetOrder())
			if err != nil {
				return nil, s.fail(ctx, log, "update status", err)
			}

			if !stands {
				continue
			}

			level := s.config.quietly(slog.LevelInfo, name, "told "+next.GetOrder().String()+next.GetReason().String())
			log.Log(ctx, level, "machine is told what to do", "order", next.GetOrder().String(), "reason", next.GetReason().String())

			return next, nil
		}

		select {
		case _, more := <-changed:
			if !more { // another one waits in its place
				return next, nil
			}
		case <-held.C:
			return next, nil
		case <-s.waiters.stopped:
			return nil, status.Error(codes.Unavailable, "the appliance stops: try again later")
		case <-ctx.Done():
			return next, nil // nobody hears it. Of an error that nobody hears grpc makes a line of the log
		}
	}
}

// stands tells whether an order still holds. That to turn the machine off, as somebody has asked, is written down as obeyed: the machine is
// not told so again when it starts the next time.
func (s *Service) stands(ctx context.Context, name string, order api.Order) (stands bool, err error) {
	if order != api.Order_POWER_OFF {
		return true, nil
	}

	ctx, cancel := answering(ctx)
	defer cancel()

	err = s.change(ctx, name, func(server *v1alpha2.Server) error {
		if stands = orders.MayTouch(server) && server.AskedOff(time.Now()); !stands {
			return nil
		}

		server.Status.Conditions = server.Status.Conditions.With(v1alpha2.Condition{
			Type: v1alpha2.ConditionPowerRequested, Status: corev1.ConditionTrue, Reason: v1alpha2.ReasonAgentObeys,
			Message: "power off: its agent turns the machine off", LastTransitionTime: metav1.Now(),
		})

		return nil
	})

	return stands, err
}

// next is the order for a machine that knows the one of a sequence.
func (s *Service) next(ctx context.Context, name string, known uint64) (*api.WaitResponse, error) {
	ctx, cancel := answering(ctx)
	defer cancel()

	next, err := s.nextBy(ctx, s.config.Cache, s.classes, name)
	if err == nil && next.GetOrder() == api.Order_STAY && (next.GetBmcSetup() == nil || next.GetSequence() == known) {
		return next, nil
	}

	// The cache may be behind, and not have a server that has just registered. To stay is safe whatever it missed: its
	// change is on the way and wakes the machine.
	return s.nextBy(ctx, s.config.Client, s.currentClasses, name)
}

// classReader lists all ServerClasses.
type classReader func(context.Context) ([]v1alpha2.ServerClass, error)

func (s *Service) nextBy(ctx context.Context, reader client.Reader, list classReader, name string) (*api.WaitResponse, error) {
	server, binding, err := read(ctx, reader, name)
	if err != nil {
		return nil, err
	}

	classes, err := list(ctx)
	if err != nil {
		return nil, err
	}

	setup, err := s.accountSetup(ctx, server)
	if err != nil {
		return nil, err
	}

	return orders.WithAccount(orders.Next(server, binding, classes, s.settings()), setup), nil
}

func (s *Service) settings() orders.Settings {
	return orders.Settings{InsecureWipe: s.config.Policy.InsecureWipe}
}

// read returns a server, and its binding or nil.
func read(ctx context.Context, reader client.Reader, name string) (*v1alpha2.Server, *v1alpha3.ServerBinding, error) {
	server := &v1alpha2.Server{}
	if err := reader.Get(ctx, client.ObjectKey{Name: name}, server); err != nil {
		return nil, nil, err //nolint:wrapcheck // wrapped by fail
	}

	binding, err := bindingOf(ctx, reader, name)

	return server, binding, err
}

// bindingOf is a server's ServerBinding, which has its name; nil if there is none.
func bindingOf(ctx context.Context, reader client.Reader, name string) (*v1alpha3.ServerBinding, error) {
	binding := &v1alpha3.ServerBinding{}
	if err := reader.Get(ctx, client.ObjectKey{Name: name}, binding); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil //nolint:nilnil // there is none
		}

		return nil, err //nolint:wrapcheck // wrapped by fail
	}

	return binding, nil
}

// errNotOrdered is the answer to reports of a wipe that is not, or no more, the order.
var errNotOrdered = errors.New("the machine is not ordered to wipe in this way now: it must stop")

// stillHere tells of a machine whose wipe failed that it waits to try again: restarting it would help nobody.
func (s *Service) stillHere(ctx context.Context, name string) error {
	ctx, cancel := answering(ctx)
	defer cancel()

	binding, err := bindingOf(ctx, s.config.Client, name)
	if err != nil {
		return fmt.Errorf("read binding: %w", err)
	}

	return s.change(ctx, name, func(server *v1alpha2.Server) error {
		if orders.MayWipe(server, binding) && !server.Status.IsClean {
			wipes(server, time.Now())
		}

		return nil
	})
}
