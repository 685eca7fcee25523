package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/lease"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/existence"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/rewipe"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/serverclass"
)

const stopsWithin = 5 * time.Second

// namespace and leaseName are those of the Lease that Sidero's manager takes.
const (
	namespace = "sidero-system"
	leaseName = "controller-leader-election-sidero-controller-manager"
)

// Config is what the controllers need.
type Config struct {
	// Client has the rights of bootstrap.Controllers.
	Client *rest.Config
	// Environments says how Environments are treated.
	Environments environment.Config
	// Servers says how servers are treated.
	Servers server.Config
	// CacheOnly runs no controllers, only the cache that the boot server reads too.
	CacheOnly bool
	// Identity is who holds the Lease; see package lease. The program's name when empty.
	Identity string
	Logger   logr.Logger
	// Log tells of the Lease. Optional.
	Log *slog.Logger
}

// Controllers are the appliance's own controllers, which work while their Lease is held, and the cache that they share.
type Controllers struct {
	config Config
	scheme *runtime.Scheme
	cache  cache.Cache
	lease  *lease.Lease // nil when there are no controllers
	synced atomic.Bool
	// keepers are those of the controllers that work, nil when none do.
	keepers atomic.Pointer[[]*existence.Keeper]
}

// New prepares the controllers; the API need not answer yet.
func New(c Config) (*Controllers, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(scheme), v1alpha3.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}

	// Who owns which field is a third of a Server, and nothing here goes by it.
	objects, err := cache.New(c.Client, cache.Options{Scheme: scheme, Mapper: mapper(), DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}

	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	controllers := &Controllers{config: c, scheme: scheme, cache: objects}

	if !c.CacheOnly {
		controllers.lease = &lease.Lease{
			Client: c.Client, Namespace: namespace, Name: leaseName, Identity: cmp.Or(c.Identity, "sidero-appliance"), Logger: c.Log,
		}
	}

	return controllers, nil
}

// mapper knows the kinds that the controllers work with, so that starting needs no discovery.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(v1alpha2.GroupVersion.WithKind("Environment"), meta.RESTScopeRoot)
	m.Add(v1alpha2.GroupVersion.WithKind("Server"), meta.RESTScopeRoot)
	m.Add(v1alpha2.GroupVersion.WithKind("ServerClass"), meta.RESTScopeRoot)
	m.Add(v1alpha3.GroupVersion.WithKind("ServerBinding"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)

	return m
}

// Cache reads objects from memory, and tells when they change.
func (c *Controllers) Cache() cache.Cache { return c.cache }

// Name identifies the component.
func (*Controllers) Name() string { return "controllers" }

// Ready tells whether the cache holds what is there, and the controllers work: here, where the objects that must exist do
// then, or elsewhere.
func (c *Controllers) Ready(context.Context) error {
	if !c.synced.Load() {
		return errors.New("cache has not synced")
	}

	if c.lease == nil {
		return nil
	}

	if err := c.lease.Ready(); err != nil || !c.lease.Mine() {
		return err
	}

	keepers := c.keepers.Load()
	if keepers == nil {
		return errors.New("the controllers have not started")
	}

	for _, keeper := range *keepers {
		if err := keeper.Ready(); err != nil {
			return err
		}
	}

	return nil
}

// Run keeps the cache, and runs the controllers while their Lease is held, until ctx ends.
func (c *Controllers) Run(ctx context.Context) error {
	// The boot server and the registration service ask for these; nothing else may have made the cache watch them.
	for _, object := range []client.Object{&v1alpha2.Server{}, &v1alpha2.Environment{}, &v1alpha2.ServerClass{}, &v1alpha3.ServerBinding{}} {
		if _, err := c.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}

	defer c.synced.Store(false)

	// The controllers end before their cache does.
	caching, stop := context.WithCancel(ctrl.LoggerInto(context.WithoutCancel(ctx), c.config.Logger))
	ended := make(chan error, 1)

	go func() { ended <- c.cache.Start(caching) }()

	err := c.run(ctx)

	stop()

	if err := errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}

	return nil
}

func (c *Controllers) run(ctx context.Context) error {
	if !c.cache.WaitForCacheSync(ctx) {
		return nil // ctx has ended
	}

	c.synced.Store(true)

	if c.lease == nil {
		<-ctx.Done()

		return nil
	}

	return c.lease.Run(ctx, c.work)
}

// work runs controllers until ctx ends. They are made anew each time: none can be started twice.
func (c *Controllers) work(ctx context.Context) error {
	manager, err := ctrl.NewManager(c.config.Client, ctrl.Options{
		Scheme:                  c.scheme,
		Logger:                  c.config.Logger,
		Metrics:                 metrics.Options{BindAddress: "0"}, // served with all others by the appliance
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(stopsWithin),
		MapperProvider:          func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper(), nil },
		NewCache:                func(*rest.Config, cache.Options) (cache.Cache, error) { return &lent{Cache: c.cache}, nil },
		Controller:              config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("make controller manager: %w", err)
	}

	keepers, err := c.setUp(manager)
	if err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}

	c.keepers.Store(&keepers)
	defer c.keepers.Store(nil)

	return manager.Start(ctx) //nolint:wrapcheck // by Run
}

func (c *Controllers) setUp(manager ctrl.Manager) ([]*existence.Keeper, error) {
	environments, environmentErr := environment.SetupWithManager(manager, c.config.Environments)
	classes, classErr := (&serverclass.Reconciler{Client: manager.GetClient()}).SetupWithManager(manager)
	listErr := (&serverclass.Lister{Client: manager.GetClient(), Events: manager.GetEventRecorder("sidero-controller-manager")}).SetupWithManager(manager)
	serverErr := server.SetupWithManager(manager, c.config.Servers)
	rewipeErr := (&rewipe.Reconciler{Client: manager.GetClient(), Events: manager.GetEventRecorder("sidero-controller-manager")}).SetupWithManager(manager)

	return append(environments, classes), errors.Join(environmentErr, classErr, listErr, serverErr, rewipeErr)
}
