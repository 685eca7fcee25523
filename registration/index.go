package registration

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

// byUUID is the index of Servers by the UUIDs that they claim.
const byUUID = "uuid"

// Index has a cache, which has not started yet, know Servers by the UUIDs that they claim: machines are asked after a thousand times
// while a hall of them boots.
func Index(ctx context.Context, objects client.FieldIndexer) error {
	err := objects.IndexField(ctx, &v1alpha2.Server{}, byUUID, func(o client.Object) []string {
		if id, ok := identity.UUIDOf(o.GetName()); ok {
			return []string{id}
		}

		return nil
	})
	if err != nil {
		return fmt.Errorf("index servers: %w", err)
	}

	return nil
}

// Claims are the Servers that claim a UUID, of a cache that Index was called for. They must not be changed.
func Claims(ctx context.Context, objects client.Reader, id string) ([]v1alpha2.Server, error) {
	servers := &v1alpha2.ServerList{}
	if err := objects.List(ctx, servers, client.UnsafeDisableDeepCopy, client.MatchingFields{byUUID: id}); err != nil {
		return nil, fmt.Errorf("list servers with UUID %s: %w", id, err)
	}

	return servers.Items, nil
}
