package registration

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

// Tell implements api.FactsServer: it adds to what a machine registered with.
func (s *Service) Tell(ctx context.Context, request *api.TellRequest) (*api.TellResponse, error) {
	name, err := s.writer(ctx, request.GetRegistration().GetHardware().GetSystem().GetUuid())
	if err != nil {
		return nil, err
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	stored, err := s.server(ctx, name)
	if err != nil {
		return nil, s.fail(ctx, log, "read server", err)
	}

	reported, err := machine.ParseTold(request, stored.Spec.Hardware)
	if err != nil {
		return nil, s.refuse(ctx, err)
	}

	s.names.LockKey(reported.UUID)
	defer s.names.UnlockKey(reported.UUID) //nolint:errcheck // always nil

	// Its UID, so that a Server that has been deleted meanwhile is not made anew: that is done with a registration.
	_, kept, err := applyFacts(ctx, s.config.Client, target{name, stored.UID}, reported)
	if err != nil {
		return nil, s.fail(ctx, log, "store hardware", err)
	}

	log.DebugContext(ctx, "machine has told more", "kept", kept)

	return &api.TellResponse{}, nil
}

// recall completes what a machine registers with, by Sidero's protocol, with what is known beyond that.
func (s *Service) recall(ctx context.Context, name string, reported *machine.Machine) error {
	stored, err := s.server(ctx, name)
	if err == nil {
		reported.Keep(stored.Spec.Hardware)
	}

	return client.IgnoreNotFound(err) //nolint:wrapcheck // wrapped by fail
}
