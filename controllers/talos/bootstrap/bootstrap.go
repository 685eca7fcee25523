// Package bootstrap makes the machine configurations of Talos nodes: for each TalosConfig a Secret with the bootstrap data of
// its Machine, by the contract of Cluster API's bootstrap providers, and for each cluster one Secret with what its nodes share.
// The Secrets have the names and shapes of the upstream provider, so a cluster that it made goes on here.
//
// What to do is decided by next alone, and what a configuration is made of by describe; the reconciler does the rest.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/lease"
	"github.com/sidero-appliance/sidero-appliance/controllers/work"
)

const (
	// namespace and leaseName are those of the Lease that the upstream provider takes.
	namespace = "cabpt-system"
	leaseName = "controller-leader-election-cabpt"

	startsAgainAfter = 10 * time.Second
	stopsWithin      = 5 * time.Second
)

// Config is what the controllers need.
type Config struct {
	// Client has the rights of bootstrap.TalosBootstrap.
	Client *rest.Config
	// Identity is who holds the Lease; see package lease.
	Identity string
	Logger   logr.Logger
	Log      *slog.Logger
}

// Controllers are those of the provider: of TalosConfigs. TalosConfigTemplates need none.
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
func (*Controllers) Name() string { return "talos-bootstrap-controllers" }

// Ready tells whether the controllers run, here or elsewhere.
func (c *Controllers) Ready(context.Context) error { return c.lease.Ready() }

// Run runs the controllers until ctx ends, and again after a failure: machines are to boot and be registered all the same.
func (c *Controllers) Run(ctx context.Context) error {
	return c.lease.Run(ctx, lease.Persistent(c.control, startsAgainAfter, c.config.Log.With("set", "talos-bootstrap")))
}

// control makes the controllers when there is something for them to do, and anew each time, because none can be started twice.
func (c *Controllers) control(ctx context.Context) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha3.AddToScheme(scheme), clusterv1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("register types: %w", err)
	}

	if err := work.Await(ctx, c.config.Client, v1alpha3.GroupVersion.WithResource("talosconfigs")); err != nil || ctx.Err() != nil {
		return err //nolint:wrapcheck // it says what was done
	}

	manager, err := ctrl.NewManager(c.config.Client, ctrl.Options{
		Scheme:                  scheme,
		Logger:                  c.config.Logger,
		Metrics:                 server.Options{BindAddress: "0"}, // served with all others by the appliance
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(stopsWithin),
		Cache:                   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		// Secrets of clusters are asked for when needed: neither is there memory for all, nor may an old one be gone by.
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}

	if err := setUp(manager); err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}

	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}

	return nil
}
