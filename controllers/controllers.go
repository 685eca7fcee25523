package controllers

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/existence"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/serverclass"
)

const stopsWithin = 5 * time.Second

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
	Logger    logr.Logger
}

// Controllers are the appliance's own controllers and the cache that they share.
type Controllers struct {
	manager ctrl.Manager
	keepers []*existence.Keeper
	synced  atomic.Bool
}

// New prepares the controllers; the API need not answer yet.
func New(c Config) (*Controllers, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(scheme), v1alpha3.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}

	manager, err := ctrl.NewManager(c.Client, ctrl.Options{
		Scheme:                  scheme,
		Logger:                  c.Logger,
		Metrics:                 metrics.Options{BindAddress: "0"}, // served with all others by the appliance
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(stopsWithin),
		MapperProvider:          func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper(), nil },
		// Tests run several in one process.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("make controller manager: %w", err)
	}

	if c.CacheOnly {
		return &Controllers{manager: manager}, nil
	}

	environments, environmentErr := environment.SetupWithManager(manager, c.Environments)
	classes, classErr := (&serverclass.Reconciler{Client: manager.GetClient()}).SetupWithManager(manager)
	listErr := (&serverclass.Lister{Client: manager.GetClient(), Events: manager.GetEventRecorder("sidero-controller-manager")}).SetupWithManager(manager)
	serverErr := server.SetupWithManager(manager, c.Servers)

	if err := errors.Join(environmentErr, classErr, listErr, serverErr); err != nil {
		return nil, fmt.Errorf("set up controllers: %w", err)
	}

	return &Controllers{manager: manager, keepers: append(environments, classes)}, nil
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
func (c *Controllers) Cache() cache.Cache { return c.manager.GetCache() }

// Name identifies the component.
func (*Controllers) Name() string { return "controllers" }

// Ready tells whether the cache holds what is there and the objects that must exist do.
func (c *Controllers) Ready(context.Context) error {
	if !c.synced.Load() {
		return errors.New("cache has not synced")
	}

	for _, keeper := range c.keepers {
		if err := keeper.Ready(); err != nil {
			return err
		}
	}

	return nil
}

// Run runs the controllers until ctx ends.
func (c *Controllers) Run(ctx context.Context) error {
	// The boot server asks for these; nothing else may have made the cache watch them.
	for _, object := range []client.Object{&v1alpha2.Server{}, &v1alpha2.Environment{}} {
		if _, err := c.manager.GetCache().GetInformer(ctx, object); err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}

	defer c.synced.Store(false)

	syncing, cancel := context.WithCancel(ctx)
	defer cancel()

	go func() { c.synced.Store(c.manager.GetCache().WaitForCacheSync(syncing)) }()

	if err := c.manager.Start(ctx); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}

	return nil
}
