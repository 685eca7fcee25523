// Package infrastructure runs the controllers by which Cluster API's machines are servers: one folder each below this one.
package infrastructure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/metalcluster"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/metalmachine"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/serverbinding"
	"github.com/sidero-appliance/sidero-appliance/controllers/lease"
	"github.com/sidero-appliance/sidero-appliance/controllers/work"
)

const (
	// namespace and leaseName are those of the Lease that the upstream provider takes.
	namespace = "sidero-system"
	leaseName = "controller-leader-election-capm"

	startsAgainAfter = 10 * time.Second
	stopsWithin      = 5 * time.Second
)

// Config is what the controllers need.
type Config struct {
	// Client has the rights of bootstrap.Infrastructure.
	Client *rest.Config
	// Identity is who holds the Lease; see package lease.
	Identity string
	Logger   logr.Logger
	Log      *slog.Logger
}

// Controllers are those of MetalClusters, MetalMachines and ServerBindings.
type Controllers struct {
	config Config
	lease  *lease.Lease
}

// New prepares the controllers; the API need not answer yet.
func New(c Config) *Controllers {
	return &Controllers{config: c, lease: &lease.Lease{
		Client: c.Client, Namespace: namespace, Name: leaseName, Identity: c.Identity, Logger: c.Log,
	}}
}

// Name identifies the component.
func (*Controllers) Name() string { return "infrastructure-controllers" }

// Ready tells whether the controllers run, here or elsewhere.
func (c *Controllers) Ready(context.Context) error { return c.lease.Ready() }

// Run runs the controllers until ctx ends, and again after a failure: machines are to boot and be registered all the same.
func (c *Controllers) Run(ctx context.Context) error {
	return c.lease.Run(ctx, lease.Persistent(c.control, startsAgainAfter, c.config.Log.With("set", "infrastructure")))
}

// control makes the controllers when there is something for them to do, and anew each time, because none can be started twice.
func (c *Controllers) control(ctx context.Context) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha3.AddToScheme(scheme), metal.AddToScheme(scheme), clusterv1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("register types: %w", err)
	}

	var kinds []schema.GroupVersionResource
	for _, name := range []string{"metalclusters", "metalmachines", "serverbindings"} {
		kinds = append(kinds, v1alpha3.GroupVersion.WithResource(name))
	}

	if err := work.Await(ctx, c.config.Client, kinds...); err != nil || ctx.Err() != nil {
		return err //nolint:wrapcheck // it says what was done
	}

	manager, err := ctrl.NewManager(c.config.Client, ctrl.Options{
		Scheme:                  scheme,
		Logger:                  c.config.Logger,
		Metrics:                 server.Options{BindAddress: "0"}, // served with all others by the appliance
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(stopsWithin),
		Cache:                   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Controller:              config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}

	err = errors.Join(metalcluster.SetupWithManager(manager), metalmachine.SetupWithManager(manager), serverbinding.SetupWithManager(manager))
	if err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}

	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}

	return nil
}
