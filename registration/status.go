package registration

import (
	"context"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

// ReconcileServerAddresses replaces the addresses of each type that the machine sends and keeps those of other types.
func (s *Service) ReconcileServerAddresses(ctx context.Context, request *api.ReconcileServerAddressesRequest) (*api.ReconcileServerAddressesResponse, error) {
	addresses, err := machine.ParseAddresses(request.GetAddress())
	if err != nil {
		return nil, s.refuse(ctx, err)
	}

	name, err := s.writer(ctx, request.GetUuid())
	if err != nil {
		return nil, err
	}

	return &api.ReconcileServerAddressesResponse{}, s.update(ctx, name, func(server *v1alpha2.Server) {
		server.Status.Addresses = mergeAddresses(server.Status.Addresses, addresses)
		seen(&server.Status, time.Now())
	})
}

// seenAgain is how old the time when a machine was last seen becomes before it is written anew.
const seenAgain = time.Minute

// seen notes that a machine was heard of.
func seen(status *v1alpha2.ServerStatus, now time.Time) {
	if status.LastSeen == nil || now.Sub(status.LastSeen.Time) >= seenAgain {
		status.LastSeen = &metav1.Time{Time: now}
	}
}

// mergeAddresses keeps the stored addresses of the types that were not sent, and then has those sent in their order.
func mergeAddresses(stored, sent []corev1.NodeAddress) []corev1.NodeAddress {
	others := slices.DeleteFunc(slices.Clone(stored), func(a corev1.NodeAddress) bool {
		return slices.ContainsFunc(sent, func(b corev1.NodeAddress) bool { return a.Type == b.Type })
	})

	return append(others, sent...)
}

// Heartbeat tells that a wipe goes on: the time that a machine has for it starts again.
func (s *Service) Heartbeat(ctx context.Context, request *api.HeartbeatRequest) (*api.HeartbeatResponse, error) {
	_, _, err := s.updateWipe(ctx, request.GetUuid(), func(server *v1alpha2.Server) { wipes(server, time.Now()) })

	return &api.HeartbeatResponse{}, err
}

// updateWipe changes the status of a machine's Server, if the machine is told by Sidero's protocol to wipe: one that is accepted, not
// in use and not clean, and all of whose disks are to be wiped. It returns the Server's name, and what was changed or nil.
func (s *Service) updateWipe(ctx context.Context, id string, change func(*v1alpha2.Server)) (name string, changed *v1alpha2.Server, err error) {
	if name, err = s.writer(ctx, id); err != nil {
		return "", nil, err
	}

	binding, err := bindingOf(ctx, s.config.Client, name)
	if err != nil {
		return name, nil, s.fail(ctx, s.config.Logger.With("server", name, "remote", remote(ctx)), "read binding", err)
	}

	classes, err := s.currentClasses(ctx)
	if err != nil {
		return name, nil, s.fail(ctx, s.config.Logger.With("server", name, "remote", remote(ctx)), "read classes", err)
	}

	err = s.update(ctx, name, func(server *v1alpha2.Server) {
		if changed = nil; orders.WipesAll(server, binding, orders.Policy(server, classes, s.settings())) {
			changed = server
			change(server)
		}
	})

	return name, changed, err
}

// wipes notes that a machine's wipe goes on, or will: until the time for it is over again, nobody restarts the machine.
func wipes(server *v1alpha2.Server, now time.Time) {
	seen(&server.Status, now)
	server.Status.Conditions = server.Status.Conditions.With(v1alpha2.Condition{
		Type: v1alpha2.ConditionPowerCycle, Status: corev1.ConditionFalse, Severity: v1alpha2.SeverityInfo,
		Reason: v1alpha2.ReasonInProgress, Message: "wipe in progress", LastTransitionTime: metav1.Time{Time: now},
	})
}

// wiped notes that a machine's disks were wiped.
func wiped(server *v1alpha2.Server) {
	server.Status.IsClean = true
	server.Status.Conditions = server.Status.Conditions.With(v1alpha2.Condition{
		Type: v1alpha2.ConditionPowerCycle, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	})
}

// MarkServerAsWiped tells that a machine's disks were wiped. That counts only for one that is told to wipe by Sidero's protocol.
func (s *Service) MarkServerAsWiped(ctx context.Context, request *api.MarkServerAsWipedRequest) (*api.MarkServerAsWipedResponse, error) {
	name, done, err := s.updateWipe(ctx, request.GetUuid(), wiped)
	if err != nil {
		return nil, err
	}

	if done == nil {
		s.config.Logger.Log(ctx, s.config.quietly(slog.LevelWarn, address(ctx).String(), "wipe ignored"),
			"wipe reported by a server that was not told to", "server", name, "remote", remote(ctx))
	} else {
		s.step(ctx, done, stepClean, "")
		s.event(done, eventWiped, "the machine's disks were wiped")
	}

	return &api.MarkServerAsWipedResponse{}, nil
}

// update changes a server's status, again from what is stored when somebody else was faster.
func (s *Service) update(ctx context.Context, name string, change func(*v1alpha2.Server)) error {
	err := s.change(ctx, name, func(server *v1alpha2.Server) error {
		change(server)

		return nil
	})
	if err != nil {
		return s.fail(ctx, s.config.Logger.With("server", name, "remote", remote(ctx)), "update status", err)
	}

	return nil
}

// change is update for those who can refuse.
func (s *Service) change(ctx context.Context, name string, change func(*v1alpha2.Server) error) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error { //nolint:wrapcheck // wrapped by fail
		server, err := s.server(ctx, name)
		if err != nil {
			return err
		}

		return s.write(ctx, server, change)
	})
}

// changeOf is change for who has the server as it was a moment ago, which is read again only when somebody else was faster. It returns
// the server as it is then.
func (s *Service) changeOf(ctx context.Context, server *v1alpha2.Server, change func(*v1alpha2.Server) error) (*v1alpha2.Server, error) {
	if err := s.write(ctx, server, change); !apierrors.IsConflict(err) {
		return server, err
	}

	if err := s.change(ctx, server.Name, change); err != nil {
		return nil, err
	}

	return s.server(ctx, server.Name)
}

// write changes the status of a server that is as it is stored.
func (s *Service) write(ctx context.Context, server *v1alpha2.Server, change func(*v1alpha2.Server) error) error {
	before := server.DeepCopy()
	if err := change(server); err != nil || apiequality.Semantic.DeepEqual(before.Status, server.Status) {
		return err
	}

	return s.config.Client.Status().Patch(ctx, server, //nolint:wrapcheck // wrapped by fail
		client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager))
}
