package registration

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

const (
	// bmcSecretNamespace is upstream's, whatever its documents say.
	bmcSecretNamespace = metav1.NamespaceDefault

	keyUser = "user"
	keyPass = "pass"

	// moveLabel makes clusterctl move take the Secret along.
	moveLabel = "clusterctl.cluster.x-k8s.io/move"
)

// bmcManager owns what is known of a server's BMC. It is not FieldManager, whose every report of facts would take it back.
const bmcManager = "sidero-bmc-setup"

// UpdateBMCInfo stores how to reach a server's BMC. It comes from a server that was told to set up its BMC, so only from
// an accepted one, and only where that is switched on; of others it changes nothing. What a person has set is kept.
func (s *Service) UpdateBMCInfo(ctx context.Context, request *api.UpdateBMCInfoRequest) (*api.UpdateBMCInfoResponse, error) {
	name, err := machine.ParseUUID(request.GetUuid())
	if err == nil {
		err = machine.CheckBMC(request.GetBmcInfo())
	}

	if err != nil {
		return nil, s.refuse(ctx, err)
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	server, err := s.server(ctx, name)
	if err != nil {
		return nil, s.fail(ctx, log, "read server", err)
	}

	if !server.Spec.Accepted || !s.config.Policy.AutoBMCSetup {
		log.Log(ctx, s.config.quietly(slog.LevelWarn, address(ctx).String(), "BMC ignored"),
			"BMC reported by a server that was not told to set it up, which is ignored")

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

// storeBMC applies what is known of a BMC after a report. The agent reports twice, first the address, then credentials
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

	if info.GetUser() != "" && info.GetPass() != "" {
		secret := server.Name + "-bmc"
		if kept, err = s.applyCredentials(ctx, server, secret, info); err != nil {
			return kept, err
		}

		ref := v1alpha2.SecretKeyRef{Namespace: bmcSecretNamespace, Name: secret}
		ref.Key = keyUser
		fields["userFrom"] = source(ref)
		ref.Key = keyPass
		fields["passFrom"] = source(ref)
	}

	more, err := applyYielding(ctx, s.config.Client, map[string]any{
		"apiVersion": v1alpha2.GroupVersion.String(),
		"kind":       "Server",
		"metadata":   map[string]any{"name": server.Name},
		"spec":       map[string]any{"bmc": fields},
	}, bmcManager)

	return append(kept, more...), err
}

func source(ref v1alpha2.SecretKeyRef) map[string]any {
	return map[string]any{
		"secretKeyRef": map[string]any{"namespace": ref.Namespace, "name": ref.Name, "key": ref.Key},
	}
}

func (s *Service) applyCredentials(ctx context.Context, server *v1alpha2.Server, name string, info *api.BMCInfo) ([]string, error) {
	kept, err := applyYielding(ctx, s.config.Client, map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata": map[string]any{
			"name":      name,
			"namespace": bmcSecretNamespace,
			"labels":    map[string]any{moveLabel: ""},
			"ownerReferences": []any{map[string]any{
				"apiVersion": v1alpha2.GroupVersion.String(), "kind": "Server", "name": server.Name, "uid": string(server.UID),
				"controller": true, "blockOwnerDeletion": true,
			}},
		},
		"data": map[string]any{
			keyUser: base64.StdEncoding.EncodeToString([]byte(info.GetUser())),
			keyPass: base64.StdEncoding.EncodeToString([]byte(info.GetPass())),
		},
	}, bmcManager)
	if err != nil {
		return kept, fmt.Errorf("apply secret %s/%s: %w", bmcSecretNamespace, name, err)
	}

	return kept, nil
}
