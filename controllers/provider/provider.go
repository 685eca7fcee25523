// Package provider runs the controllers of one provider in Cluster API's terms: while its upstream's Lease is held here, from
// the first object on that they are for, and again after a failure.
package provider

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidero-appliance/sidero-appliance/controllers/lease"
)

const (
	startsAgainAfter = 10 * time.Second
	stopsWithin      = 5 * time.Second
)

// Config is what the controllers of any provider need.
type Config struct {
	// Client has the rights of the provider's user.
	Client *rest.Config
	// Identity is who holds the Lease; see package lease.
	Identity string
	// Workers is how many objects each of Cluster API's reconcilers works on at the same time; other providers have their own numbers.
	Workers int
	Logger  logr.Logger
	Log     *slog.Logger
}

// Provider is what is its own.
type Provider struct {
	// Name is that of its set of controllers.
	Name string
	// Namespace and Lease are those of the Lease that the upstream provider takes.
	Namespace, Lease string
	// Kinds are those of which the first object has the controllers begin.
	Kinds []schema.GroupVersionResource
	// Types registers those that the controllers work with.
	Types []func(*runtime.Scheme) error
	// Adapt changes what the manager is made of. The client's configuration is a copy. Optional; Lean is one.
	Adapt func(*rest.Config, *ctrl.Options)
	// SetUp adds the controllers to a manager.
	SetUp func(context.Context, ctrl.Manager) error
}

// Lean has a manager remember less: neither who owns which field, by which nothing here goes, nor Secrets. These are asked for when
// they are needed: there is no memory for those of all clusters, nor may an old one be gone by.
func Lean(_ *rest.Config, o *ctrl.Options) {
	o.Cache = cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	o.Client = client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}}
}

// Controllers are those of a provider.
type Controllers struct {
	config   Config
	provider Provider
	lease    *lease.Lease
}

// New prepares the controllers; the API need not answer yet.
func New(c Config, p Provider) *Controllers {
	return &Controllers{config: c, provider: p, lease: &lease.Lease{
		Client: c.Client, Namespace: p.Namespace, Name: p.Lease, Identity: c.Identity, Logger: c.Log,
	}}
}

// Name identifies the component.
func (c *Controllers) Name() string { return c.provider.Name + "-controllers" }

// Ready tells whether the controllers run, here or elsewhere.
func (c *Controllers) Ready(context.Context) error { return c.lease.Ready() }

// Run runs the controllers until ctx ends, and again after a failure: machines are to boot and be registered all the same.
func (c *Controllers) Run(ctx context.Context) error { return c.lease.Run(ctx, c.persist) }

// persist works until ctx ends, and begins again some time after a failure. Work that does not end in order is not waited for
// by others.
func (c *Controllers) persist(ctx context.Context) error {
	log := c.config.Log.With("set", c.provider.Name)

	for {
		err := c.control(ctx)

		if ctx.Err() != nil {
			if err != nil {
				log.Warn("controllers did not end in order", "error", err)
			}

			return nil
		}

		log.Error("controllers ended; they are started again", "error", err, "duration", startsAgainAfter)

		select {
		case <-ctx.Done():
		case <-time.After(startsAgainAfter):
		}
	}
}

// control makes the controllers when there is something for them to do, and anew each time, because none can be started twice.
func (c *Controllers) control(ctx context.Context) error {
	scheme := runtime.NewScheme()

	for _, add := range c.provider.Types {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register types: %w", err)
		}
	}

	if err := await(ctx, c.config.Client, c.provider.Kinds...); err != nil || ctx.Err() != nil {
		return err
	}

	client, options := rest.CopyConfig(c.config.Client), ctrl.Options{
		Scheme:                  scheme,
		Logger:                  c.config.Logger,
		Metrics:                 server.Options{BindAddress: "0"}, // served with all others by the appliance
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(stopsWithin),
	}
	if c.provider.Adapt != nil {
		c.provider.Adapt(client, &options)
	}

	options.Controller.SkipNameValidation = ptr.To(true) // they are made again for each time that the Lease is held

	manager, err := ctrl.NewManager(client, options)
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}

	if err := c.provider.SetUp(ctx, manager); err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}

	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}

	return nil
}
