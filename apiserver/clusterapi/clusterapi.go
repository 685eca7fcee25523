package clusterapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
)

const retryPeriod = 200 * time.Millisecond

// Config is what a ClusterAPI needs.
type Config struct {
	// Owner may do everything: it installs kinds and webhooks.
	Owner *rest.Config
	// Client has the rights of bootstrap.ClusterAPI. The webhooks read with them.
	Client *rest.Config
	// Listener is where the API server reaches the webhooks: by its Services.
	Listener *Listener
	// Certificate is the webhooks' certificate. The API server must trust it for the Names.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Features of Cluster API that are not as they are by themselves, as CheckFeatures accepts them.
	Features string
	Logger   *slog.Logger
}

// ClusterAPI installs Cluster API's kinds and answers its webhooks.
type ClusterAPI struct {
	installer *installer
	kinds     *kinds
	server    *server
	log       *slog.Logger
	done      atomic.Bool
}

// services are the Services that manifests of Cluster API's webhooks name: those of its release, and those in its
// repository before kustomize names them.
func services() map[string]string {
	return map[string]string{namespace: service, "system": "webhook-service"}
}

// Services are what the API server must know to reach the webhooks.
func (l *Listener) Services() []apiserver.LocalService {
	var all []apiserver.LocalService
	for namespace, name := range services() {
		all = append(all, apiserver.LocalService{Namespace: namespace, Name: name, Dial: l.Dial})
	}

	return all
}

// Names are those that the webhooks' certificate must be valid for.
func Names() []string {
	var names []string
	for namespace, name := range services() {
		names = append(names, name+"."+namespace+".svc")
	}

	return names
}

// New prepares a ClusterAPI; the API need not answer yet.
func New(config Config) (*ClusterAPI, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}

	c := &ClusterAPI{log: config.Logger}

	if c.installer, err = newInstaller(config.Owner); err != nil {
		return nil, err
	}

	if c.kinds, err = newKinds(config.Client); err != nil {
		return nil, err
	}

	if err := setProcess(c.kinds, config.Features); err != nil {
		return nil, err
	}

	c.server = &server{
		listener: config.Listener, certificate: config.Certificate,
		mux: http.NewServeMux(), alter: checkReferences(scheme, c.kinds),
	}

	read, err := client.New(config.Client, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}

	r := &registrar{scheme: scheme, config: config.Client, server: c.server, converters: conversion.NewRegistry()}

	return c, r.register(reader{read})
}

// Name identifies the component.
func (*ClusterAPI) Name() string { return "cluster-api" }

// Ready tells whether the kinds are served and the webhooks have answered.
func (c *ClusterAPI) Ready(context.Context) error {
	if !c.done.Load() {
		return errors.New("kinds and webhooks have not been installed")
	}

	return nil
}

// ApplyKinds makes the kinds be served before Run does: the API server's work on them goes on beside that of others.
func (c *ClusterAPI) ApplyKinds(ctx context.Context) error { return c.installer.applyKinds(ctx) }

// Run installs what there is, and answers the webhooks until ctx ends.
func (c *ClusterAPI) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() error {
		c.kinds.Run(ctx)

		return nil
	})
	group.Go(func() error { return c.serve(ctx) })
	group.Go(func() error {
		c.install(ctx)

		return nil
	})

	return group.Wait() //nolint:wrapcheck // serve says what it did
}

// serve answers the webhooks when all kinds have been seen: before, they would be called unknown.
func (c *ClusterAPI) serve(ctx context.Context) error {
	if cache.WaitForCacheSync(ctx.Done(), c.kinds.synced) {
		return c.server.Start(ctx)
	}

	return nil
}

// install applies the parts in their order. That the API server asks the webhooks comes last: what answers is there then.
func (c *ClusterAPI) install(ctx context.Context) {
	for _, step := range []func(context.Context) error{c.installer.applyKinds, c.installer.applyWebhooks, c.installer.probe} {
		c.try(ctx, step)
	}

	c.done.Store(ctx.Err() == nil)
}

// try does something until it succeeds or ctx ends. What comes out the same as before is not logged again.
func (c *ClusterAPI) try(ctx context.Context, step func(context.Context) error) {
	var said string

	_ = wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		err := step(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			c.log.Warn("cannot install Cluster API yet", "error", err)
		}

		return err == nil, nil
	})
}
