package appliance

import (
	"context"
	"net"
	"strconv"

	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/appliance/health"
	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
)

// compose makes every component of the appliance, in the order in which they
// start: see docs/architecture.md for the reasons. They stop in the opposite one.
func compose(s site) ([]supervisor.Component, error) {
	plane, err := newControlPlane(s)
	if err != nil {
		return nil, err
	}
	own, err := plane.authority.ClientConfig(plane.local, bootstrap.Registration)
	if err != nil {
		return nil, err
	}
	registrar, err := newRegistrar(s, own, plane.controllers.Cache())
	if err != nil {
		return nil, err
	}
	reader, err := plane.authority.ClientConfig(plane.local, bootstrap.Metadata)
	if err != nil {
		return nil, err
	}
	configs, err := newConfigurations(s, reader, plane.controllers.Cache(), sightings{registrar.timeline.Saw})
	if err != nil {
		return nil, err
	}
	boot, err := newBootServers(s, plane.controllers.Cache(), plane.assets.store, registrar, configs)
	if err != nil {
		return nil, err
	}
	components := append([]supervisor.Component{healthServer(s)}, plane.components()...)
	components = append(append(components, registrar.events, registrar.timeline, configs.events, configs.windows, configs.link, configs.announces), boot...)
	components = append(components, registrar.service) // it ends first: a machine that waits would hold up the boot server
	if watch := newAddressWatch(s); watch != nil {
		components = append(components, watch)
	}
	return components, nil
}

// healthServer comes first and goes last, so that it can tell what is missing.
func healthServer(s site) *health.Server {
	return health.New(health.Config{
		Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(HealthPort)),
		Checks: func(ctx context.Context) []health.Check {
			var checks []health.Check
			for _, c := range s.Checks(ctx) {
				checks = append(checks, health.Check(c))
			}
			return checks
		},
		Metrics: legacyregistry.Handler(),
		Log:     s.Log,
	})
}
