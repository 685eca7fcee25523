package appliance

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/insomniacslk/dhcp/iana"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/healthz"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	clusterkinds "github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/appliance/buildinfo"
	"github.com/sidero-appliance/sidero-appliance/appliance/logging"
	"github.com/sidero-appliance/sidero-appliance/appliance/network"
	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
	"github.com/sidero-appliance/sidero-appliance/controllers"
	"github.com/sidero-appliance/sidero-appliance/controllers/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	talos "github.com/sidero-appliance/sidero-appliance/controllers/talos/bootstrap"
	planes "github.com/sidero-appliance/sidero-appliance/controllers/talos/controlplane"
	"github.com/sidero-appliance/sidero-appliance/netboot/dhcp"
	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/storage"
)

// controlPlane is the API and what keeps its objects: the database, the API
// server, and the controllers.
type controlPlane struct {
	authority *pki.Authority
	// local is where this process reaches the API.
	local       netip.AddrPort
	renewal     *pki.Renewal
	database    *storage.Etcd
	server      *apiserver.Server
	bootstrap   *bootstrap.Bootstrap
	kinds       *clusterkinds.ClusterAPI // of Cluster API, and their webhooks
	kube        *kube.Controllers
	controllers *controllers.Controllers
	providers   []*provider.Controllers
	assets      keptAssets
}

// newControlPlane makes the certificates and takes the API's port; nothing runs yet.
func newControlPlane(s site) (*controlPlane, error) {
	p := &controlPlane{local: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.SecurePort))}
	var err error
	if err = p.secure(s); err != nil {
		return nil, err
	}
	p.database, err = storage.New(storage.Config{Dir: filepath.Join(s.DataDir, "etcd"), Logger: logging.Zap(s.Log)})
	if err != nil {
		return nil, err
	}
	if p.assets, err = openAssets(s.Config); err != nil {
		return nil, err
	}
	if err := p.serve(s); err != nil {
		return nil, err
	}
	return p, p.control(s)
}

func (p *controlPlane) secure(s site) error {
	var err error
	if p.authority, err = pki.Open(filepath.Join(s.DataDir, "pki")); err != nil {
		return err
	}
	p.renewal = &pki.Renewal{
		Authority:  p.authority,
		Addresses:  func() ([]netip.Addr, error) { return servingAddresses(s.Advertise) },
		Kubeconfig: s.KubeconfigPath(),
		Server:     netip.AddrPortFrom(s.Advertise, uint16(s.SecurePort)),
		Logger:     s.Log,
	}
	return p.renewal.Once()
}

// servingAddresses are the addresses of this machine that people reach it by, for
// the API's certificate. Link-local ones of IPv6 are not: they come and go with
// every interface, and mean nothing without its name.
func servingAddresses(advertised netip.Addr) ([]netip.Addr, error) {
	host, err := network.Read()
	if err != nil {
		return nil, err
	}
	addresses := []netip.Addr{advertised}
	for _, i := range host.Interfaces {
		for _, prefix := range i.Addresses {
			if address := prefix.Addr(); !address.Is6() || !address.IsLinkLocalUnicast() {
				addresses = append(addresses, address)
			}
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses), nil
}

func (p *controlPlane) serve(s site) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(s.SecurePort)))
	if err != nil {
		return fmt.Errorf("listen for the API: %w (choose another port with --secure-port)", err)
	}
	owner, err := p.authority.ClientConfig(p.local, pki.Owner)
	if err != nil {
		return err
	}
	local, err := p.clusterKinds(s)
	if err != nil {
		return err
	}
	p.server, err = apiserver.New(apiserver.Config{
		Listener:         listener.(*net.TCPListener), //nolint:errcheck,forcetypeassert // of net.Listen("tcp")
		AdvertiseAddress: s.Advertise,
		EtcdServers:      p.database.Endpoint().Servers,
		Authority:        p.authority,
		Loopback:         owner,
		LocalServices:    local,
		WebhookServices:  s.webhookServices(),
		ServerLogs:       serverLogs{logFiles(s)},
		ReadyChecks:      []healthz.HealthChecker{restReady(s)},
	})
	if err != nil {
		return err
	}
	p.bootstrap, err = bootstrap.New(bootstrap.Config{Client: owner, Beside: p.kinds.ApplyKinds, Version: buildinfo.Version(), Logger: s.Log})
	return err
}

// restReady stands for everything but the API server in the API's own /readyz.
func restReady(s site) healthz.HealthChecker {
	return healthz.NamedCheck("appliance", func(r *http.Request) error {
		// Asking the API server would ask this again.
		for _, check := range s.Checks(r.Context(), (*apiserver.Server)(nil).Name()) {
			if check.Err != nil {
				return fmt.Errorf("%s: %w", check.Name, check.Err)
			}
		}
		return nil
	})
}

func (p *controlPlane) control(s site) error {
	own, err := p.authority.ClientConfig(p.local, bootstrap.Controllers)
	if err != nil {
		return err
	}
	environments, err := p.assets.environments(s)
	if err != nil {
		return err
	}
	identity, err := leaseHolder(s.DataDir)
	if err != nil {
		return err
	}
	p.controllers, err = controllers.New(controllers.Config{
		Client: own, Environments: environments, Identity: identity, Logger: logging.Library(s.Log, "controllers"), Log: s.Log,
		CacheOnly: !s.ControllersEnabled(controllerSetMetal),
		Servers: server.Config{
			RebootTimeout: s.ServerRebootTimeout, Firmware: s.IPMIPXEMethod, Power: power.DefaultOptions(),
			HTTPBoot: s.BaseURL() + dhcp.DefaultArchitectures()[iana.EFI_X86_64_HTTP].HTTP,
			Failures: power.Failures{Explicit: s.TestPowerExplicit, Silent: s.TestPowerSilent, Random: rand.Float64, Now: time.Now},
		},
	})
	if err != nil {
		return err
	}
	if s.ControllersEnabled(controllerSetKube) {
		owner, err := p.authority.ClientConfig(p.local, pki.Owner)
		if err != nil {
			return err
		}
		if p.kube, err = kube.New(owner); err != nil {
			return err
		}
	}
	return p.provide(s, identity)
}

// provide makes the controllers of clusters, and of the servers and Talos nodes that they are made of.
func (p *controlPlane) provide(s site, identity string) error {
	for _, set := range []struct {
		name    string
		user    user.DefaultInfo
		prepare func(provider.Config) *provider.Controllers
	}{
		{controllerSetClusterAPI, bootstrap.ClusterAPIControllers, clusterapi.New},
		{controllerSetMachines, bootstrap.Infrastructure, infrastructure.New},
		{controllerSetTalos, bootstrap.TalosBootstrap, talos.New},
		{controllerSetPlanes, bootstrap.TalosControlPlane, planes.New},
	} {
		if !s.ControllersEnabled(set.name) {
			continue
		}
		own, err := p.authority.ClientConfig(p.local, set.user)
		if err != nil {
			return err
		}
		p.providers = append(p.providers, set.prepare(provider.Config{
			Client: own, Identity: identity, Workers: s.ClusterAPIConcurrency, Logger: logging.Library(s.Log, set.name), Log: s.Log,
		}))
	}
	return nil
}

// components in the order in which they start.
func (p *controlPlane) components() []supervisor.Component {
	all := []supervisor.Component{p.database, p.server, p.bootstrap, p.kinds, p.renewal}
	if p.kube != nil {
		all = append(all, p.kube)
	}
	all = append(all, p.controllers)
	for _, set := range p.providers {
		all = append(all, set)
	}
	return all
}
