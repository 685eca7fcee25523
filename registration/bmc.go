package registration

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

const (
	// moveLabel makes clusterctl move take the Secret along.
	moveLabel = "clusterctl.cluster.x-k8s.io/move"
)

// bmcManager owns what is known of a server's BMC. It is not FieldManager, whose every report of facts would take it back.
const bmcManager = "sidero-bmc-setup"

// UpdateBMCInfo stores how to reach a server's BMC. It comes from a server that was told to set up its BMC, so only from
// an accepted one without credentials or with a wish for others; of others it changes nothing. What a person has set is kept.
func (s *Service) UpdateBMCInfo(ctx context.Context, request *api.UpdateBMCInfoRequest) (*api.UpdateBMCInfoResponse, error) {
	if err := machine.CheckBMC(request.GetBmcInfo()); err != nil {
		return nil, s.refuse(ctx, err)
	}

	name, err := s.writer(ctx, request.GetUuid())
	if err != nil {
		return nil, err
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	server, setup, err := s.serverAndAccount(ctx, name)
	if err != nil {
		return nil, err
	}

	if setup == nil {
		if err := s.unasked(ctx, server, request.GetBmcInfo()); err != nil {
			return nil, err
		}

		return &api.UpdateBMCInfoResponse{}, nil
	}

	// A login that is known is sent to where it was made only: another address comes with another login.
	if setup.GetUserInUse() != "" && !tellsLogin(request.GetBmcInfo()) {
		return &api.UpdateBMCInfoResponse{}, nil
	}

	kept, err := s.storeBMC(ctx, server, request.GetBmcInfo())
	if err != nil {
		return nil, s.fail(ctx, log, "store BMC", err)
	}

	if len(kept) > 0 {
		log.Log(ctx, s.config.quietly(slog.LevelInfo, name, "BMC kept"), "BMC differs from what somebody else has set, which is kept", "fields", kept)
	}

	s.event(server, eventBMC, "the machine told how to reach its BMC")

	return &api.UpdateBMCInfoResponse{}, nil
}

func tellsLogin(info *api.BMCInfo) bool { return info.GetUser() != "" && info.GetPass() != "" }

// storeBMC applies what is known of a BMC after a report. Sidero's agent reports twice, first the address, then credentials
// without a port: whatever a report lacks is said again as it is, or it would be taken back.
func (s *Service) storeBMC(ctx context.Context, server *v1alpha2.Server, info *api.BMCInfo) (kept []string, err error) {
	bmc := v1alpha2.BMC{}
	if server.Spec.BMC != nil {
		bmc = *server.Spec.BMC
	}

	fields := map[string]any{"endpoint": cmp.Or(info.GetIp(), bmc.Endpoint)}
	if port := cmp.Or(int64(info.GetPort()), bmc.Port); port != 0 {
		fields["port"] = port
	}

	for name, from := range map[string]*v1alpha2.CredentialSource{"userFrom": bmc.UserFrom, "passFrom": bmc.PassFrom} {
		if from != nil && from.SecretKeyRef != nil {
			fields[name] = source(*from.SecretKeyRef)
		}
	}

	if tellsLogin(info) {
		secret := v1alpha2.AccountSecret(server.Name)
		if kept, err = s.applyCredentials(ctx, server, secret, info); err != nil {
			return kept, err
		}

		ref := v1alpha2.SecretKeyRef{Namespace: v1alpha2.AccountNamespace, Name: secret}
		ref.Key = v1alpha2.AccountUser
		fields["userFrom"] = source(ref)
		ref.Key = v1alpha2.AccountPass
		fields["passFrom"] = source(ref)
	}

	more, err := applyYielding(ctx, s.config.Client, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha2.GroupVersion.String(),
		"kind":       "Server",
		"metadata":   map[string]any{"name": server.Name},
		"spec":       map[string]any{"bmc": fields},
	}}, bmcManager)

	if err != nil || info.GetPass() == "" {
		return append(kept, more...), err
	}

	return append(kept, more...), s.rotated(ctx, server)
}

func source(ref v1alpha2.SecretKeyRef) map[string]any {
	return map[string]any{
		"secretKeyRef": map[string]any{"namespace": ref.Namespace, "name": ref.Name, "key": ref.Key},
	}
}

func (s *Service) applyCredentials(ctx context.Context, server *v1alpha2.Server, name string, info *api.BMCInfo) ([]string, error) {
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata": map[string]any{
			"name":      name,
			"namespace": v1alpha2.AccountNamespace,
			"labels":    map[string]any{moveLabel: ""},
			"ownerReferences": []any{map[string]any{
				"apiVersion": v1alpha2.GroupVersion.String(), "kind": "Server", "name": server.Name, "uid": string(server.UID),
				"controller": true, "blockOwnerDeletion": true,
			}},
		},
		"data": map[string]any{
			v1alpha2.AccountUser: base64.StdEncoding.EncodeToString([]byte(info.GetUser())),
			v1alpha2.AccountPass: base64.StdEncoding.EncodeToString([]byte(info.GetPass())),
		},
	}}

	kept, err := s.applySecret(ctx, secret, rotates(server))
	if err != nil {
		return kept, fmt.Errorf("apply secret %s/%s: %w", v1alpha2.AccountNamespace, name, err)
	}

	return kept, nil
}

// applySecret leaves what somebody else has written, but where a person has asked for other credentials.
func (s *Service) applySecret(ctx context.Context, secret *unstructured.Unstructured, force bool) ([]string, error) {
	if !force {
		return applyYielding(ctx, s.config.Client, secret, bmcManager)
	}

	object := client.ApplyConfigurationFromUnstructured(secret)

	return nil, s.config.Client.Apply(ctx, object, client.FieldOwner(bmcManager), client.ForceOwnership) //nolint:wrapcheck // wrapped by who calls
}
