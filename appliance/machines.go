package appliance

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

// machines tells the boot server what the cache knows of a machine.
type machines struct{ cache client.Reader }

// find is the name of a machine's Server, empty when it is not certain whose the machine is.
func (m machines) find(ctx context.Context, uuid, mac string) string {
	server, err := m.Server(ctx, bootplan.Request{UUID: uuid, MAC: mac})
	if err != nil || server.Disputed {
		return ""
	}
	return server.Name
}

// Server implements httpboot.Machines. A machine of which it is not certain whose Server is its own has none: it boots its
// agent, which tells more, and never what another machine with its UUID is to boot.
func (m machines) Server(ctx context.Context, asks bootplan.Request) (bootplan.Server, error) {
	servers, err := registration.Claims(ctx, m.cache, asks.UUID)
	if err != nil {
		return bootplan.Server{}, err
	}
	var claims []identity.Claim
	known := map[string]*v1alpha2.Server{}
	for i := range servers {
		claims = append(claims, identity.ClaimOf(&servers[i]))
		known[servers[i].Name] = &servers[i]
	}
	found, ok := identity.AtBoot(asks.UUID, identity.Booting{MAC: asks.MAC, Serial: asks.Serial}, claims, time.Now())
	if !ok {
		return bootplan.Server{}, nil
	}
	return bootplan.Server{Registered: true, Name: found.Name, Disputed: frozen(known[found.Name], asks.MAC)}, nil
}

// frozen tells whether a machine boots nothing but its agent because others claim its UUID. One that is in use, and starts from an
// address that only it has, boots on: or anybody could stop it by registering another machine with its UUID.
func frozen(server *v1alpha2.Server, mac string) bool {
	own := server.Status.Identity != nil && slices.Contains(server.Status.Identity.MACs, identity.ParseMAC(mac))
	return server.Duplicate() && !(server.Status.InUse && own)
}
