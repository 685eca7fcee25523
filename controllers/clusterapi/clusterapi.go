package clusterapi

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
	runtimev1 "sigs.k8s.io/cluster-api/api/runtime/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/remote"
	"sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/util/index"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidero-appliance/sidero-appliance/controllers/lease"
	"github.com/sidero-appliance/sidero-appliance/controllers/work"
)

const (
	// name is what Cluster API's manager calls itself to the API servers that it talks to.
	name = "cluster-api-controller-manager"

	// namespace and leaseName are those of the Lease that Cluster API's manager takes.
	namespace = "capi-system"
	leaseName = "controller-leader-election-capi"

	resync      = 10 * time.Minute
	stopsWithin = 5 * time.Second

	startsAgainAfter = 10 * time.Second

	// requests a second that all reconcilers together may send, and in a burst: upstream's manager has the same.
	requests      = 100
	requestsBurst = 200
)

// Config is what the reconcilers need.
type Config struct {
	// Client has the rights of bootstrap.ClusterAPI.
	Client *rest.Config
	// Identity is who holds the Lease; see package lease.
	Identity string
	Logger   logr.Logger
	Log      *slog.Logger
}

// Controllers are Cluster API's reconcilers.
type Controllers struct {
	config Config
	lease  *lease.Lease
}

// New prepares the reconcilers; the API need not answer yet.
func New(c Config) *Controllers {
	return &Controllers{config: c, lease: &lease.Lease{
		Client: c.Client, Namespace: namespace, Name: leaseName, Identity: c.Identity, Logger: c.Log,
	}}
}

// Name identifies the component.
func (*Controllers) Name() string { return "cluster-api-controllers" }

// Ready tells whether the reconcilers run, here or elsewhere.
func (c *Controllers) Ready(context.Context) error { return c.lease.Ready() }

// Run runs the reconcilers until ctx ends, and again after a failure: machines are to boot and be registered all the same.
func (c *Controllers) Run(ctx context.Context) error {
	return c.lease.Run(ctx, lease.Persistent(c.reconcile, startsAgainAfter, c.config.Log.With("set", "cluster-api")))
}

// reconcile makes the reconcilers when there is something to reconcile, and runs them until ctx ends: none of them can be
// started twice.
func (c *Controllers) reconcile(ctx context.Context) error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}

	if err := work.Await(ctx, c.config.Client, beginnings()...); err != nil || ctx.Err() != nil {
		return err
	}

	client := rest.CopyConfig(c.config.Client)
	client.QPS, client.Burst, client.UserAgent = requests, requestsBurst, remote.DefaultClusterAPIUserAgent(name)

	manager, err := ctrl.NewManager(client, ctrl.Options{
		Scheme:                  scheme,
		Logger:                  c.config.Logger,
		Metrics:                 server.Options{BindAddress: "0"}, // served with all others by the appliance
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(stopsWithin),
		Cache:                   setup.ManagerCacheOptions(scheme, name, "", resync),
		Client:                  setup.ManagerClientOptions(),
		// They are made again for each time that the Lease is held.
		Controller: config.Controller{SkipNameValidation: ptr.To(true), UsePriorityQueue: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}

	if err := index.AddDefaultIndexes(ctx, manager); err != nil {
		return fmt.Errorf("add indexes: %w", err)
	}

	if err := addReconcilers(ctx, manager); err != nil {
		return err
	}

	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run reconcilers: %w", err)
	}

	return nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()

	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, clusterv1.AddToScheme, addonsv1.AddToScheme, ipamv1.AddToScheme,
		runtimev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}

	return scheme, nil
}
