package metadata

import (
	"context"
	"fmt"
	"net"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// byMAC is the index of Servers by the MACs of their machines.
const byMAC = "mac"

// Index has a cache, which has not started yet, know Servers by the MACs of their machines: anybody may ask for a configuration, as
// often as they like.
func Index(ctx context.Context, objects client.FieldIndexer) error {
	err := objects.IndexField(ctx, &metal.Server{}, byMAC, func(o client.Object) []string {
		if server, ok := o.(*metal.Server); ok {
			return MACs(server)
		}

		return nil
	})
	if err != nil {
		return fmt.Errorf("index servers: %w", err)
	}

	return nil
}

// Owner is the name of the one Server that has a MAC, of a cache that Index was called for. It is empty when there is none, or
// several.
func Owner(ctx context.Context, objects client.Reader, mac string) string {
	servers := &metal.ServerList{}

	err := objects.List(ctx, servers, client.UnsafeDisableDeepCopy, client.MatchingFields{byMAC: mac})
	if err != nil || len(servers.Items) != 1 {
		return ""
	}

	return servers.Items[0].Name
}

// MACs are all that a Server's machine has told of, in lower case with colons.
func MACs(server *metal.Server) []string {
	var all []string

	if id := server.Status.Identity; id != nil {
		all = append(append(append(all, id.BootMAC), id.MACs...), id.OtherMACs...)
	}

	if hardware := server.Spec.Hardware; hardware != nil && hardware.Network != nil {
		for _, nic := range hardware.Network.Interfaces {
			if nic != nil {
				all = append(all, nic.MAC, nic.PermanentMAC)
			}
		}
	}

	var macs []string

	for _, text := range all {
		if mac, err := net.ParseMAC(text); err == nil {
			macs = append(macs, mac.String())
		}
	}

	slices.Sort(macs)

	return slices.Compact(macs)
}
