package registration

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

// eventBMCProblem is the reason of Events about BMCs on which no account could be made.
const eventBMCProblem = "BMC Setup"

// errOtherAccount is the answer to an account that nobody has asked for, or does any more. The machine must not take it for
// known.
var errOtherAccount = status.Error(codes.FailedPrecondition, "the appliance has not asked for an account on this BMC, and does not take it")

// accountSetup is which account a machine shall make on its BMC, or nil.
func (s *Service) accountSetup(ctx context.Context, server *v1alpha2.Server) (*api.BMCSetup, error) {
	account, err := s.account(ctx, server)
	if err != nil {
		return nil, err
	}

	return orders.AccountSetup(server, account, s.config.Policy.AutoBMCSetup), nil
}

// account is what is known of the one that the machine has made. Its Secret may be gone, because a person wants another.
func (s *Service) account(ctx context.Context, server *v1alpha2.Server) (orders.Account, error) {
	if !server.MadeAccount() || !orders.MayTouch(server) {
		return orders.Account{}, nil
	}

	secret, err := s.accountSecret(ctx, server.Name)
	if err != nil {
		return orders.Account{}, err
	}

	user, pass := secret.Data[v1alpha2.AccountUser], secret.Data[v1alpha2.AccountPass]

	return orders.Account{Gone: len(user) == 0 || len(pass) == 0, User: string(user)}, nil
}

// serverAndAccount is a server and which account its machine was asked for, or nil; the error is for the machine.
func (s *Service) serverAndAccount(ctx context.Context, name string) (*v1alpha2.Server, *api.BMCSetup, error) {
	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	server, err := s.server(ctx, name)
	if err != nil {
		return nil, nil, s.fail(ctx, log, "read server", err)
	}

	setup, err := s.accountSetup(ctx, server)
	if err != nil {
		return nil, nil, s.fail(ctx, log, "read account of the BMC", err)
	}

	return server, setup, nil
}

// accountSecret is a server's, an empty one when it has none.
func (s *Service) accountSecret(ctx context.Context, server string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}

	err := s.config.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha2.AccountNamespace, Name: v1alpha2.AccountSecret(server)}, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read secret of the BMC: %w", err)
	}

	return secret, nil
}

// unasked answers a report of a BMC that nobody has asked for. It is no mistake to tell an account twice, or an address.
func (s *Service) unasked(ctx context.Context, server *v1alpha2.Server, info *api.BMCInfo) error {
	s.config.Logger.Log(ctx, s.config.quietly(slog.LevelWarn, address(ctx).String(), "BMC ignored"),
		"BMC reported by a server that was not told to set it up, which is ignored", "server", server.Name, "remote", remote(ctx))

	if info.GetPass() == "" {
		return nil
	}

	secret, err := s.accountSecret(ctx, server.Name)
	if err != nil {
		return s.fail(ctx, s.config.Logger.With("server", server.Name, "remote", remote(ctx)), "read account of the BMC", err)
	}

	if string(secret.Data[v1alpha2.AccountUser]) != info.GetUser() || string(secret.Data[v1alpha2.AccountPass]) != info.GetPass() {
		return errOtherAccount
	}

	return nil
}

// rotates tells that a person has asked for another password.
func rotates(server *v1alpha2.Server) bool {
	_, asked := server.Annotations[v1alpha2.RotateBMCAnnotation]

	return asked
}

// rotated takes a person's wish for another password off a server that has it.
func (s *Service) rotated(ctx context.Context, server *v1alpha2.Server) error {
	if !rotates(server) {
		return nil
	}

	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, v1alpha2.RotateBMCAnnotation)
	object := &v1alpha2.Server{}
	object.Name = server.Name

	if err := s.config.Client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(bmcManager)); err != nil {
		return fmt.Errorf("remove annotation %s: %w", v1alpha2.RotateBMCAnnotation, err)
	}

	return nil
}

// reportBMC tells people why a machine could make no account on its BMC. Of machines that were not asked it is not heard.
func (s *Service) reportBMC(ctx context.Context, name string, problem *api.BMCProblem) (*api.ReportResponse, error) {
	if err := machine.Bound(problem); err != nil {
		return nil, s.refuse(ctx, err)
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	server, setup, err := s.serverAndAccount(ctx, name)
	if err != nil {
		return nil, err
	}

	if setup == nil {
		return &api.ReportResponse{}, nil
	}

	text := machine.ParseText(problem.GetProblem())
	log.Log(ctx, s.config.quietly(slog.LevelWarn, name, "BMC problem"), "the machine could make no account on its BMC, and tries again", "reason", text)
	s.config.Recorder.Eventf(server, nil, corev1.EventTypeWarning, eventBMCProblem, "Register",
		"no account could be made on the BMC, and it is tried again: %.800s", text)

	return &api.ReportResponse{}, nil
}
