package clusterapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	// headersWithin bounds how long a client may take to send a request's headers, stopsWithin how long requests under way
	// may take when the server stops.
	headersWithin = 10 * time.Second
	stopsWithin   = 2 * time.Second
)

// server is a webhook server on a listener that is given. Controller-runtime's own knows only TCP.
type server struct {
	listener    net.Listener
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	mux         *http.ServeMux
	// alter changes a webhook before it is served.
	alter   func(path string, hook *admission.Webhook)
	started atomic.Bool
}

var _ webhook.Server = (*server)(nil)

// NeedLeaderElection implements webhook.Server: every process answers for itself.
func (*server) NeedLeaderElection() bool { return false }

// Register implements webhook.Server.
func (s *server) Register(path string, hook http.Handler) {
	if admits, ok := hook.(*admission.Webhook); ok {
		s.alter(path, admits)
	}

	s.mux.Handle(path, hook)
}

// WebhookMux implements webhook.Server.
func (s *server) WebhookMux() *http.ServeMux { return s.mux }

// StartedChecker implements webhook.Server.
func (s *server) StartedChecker() healthz.Checker {
	return func(*http.Request) error {
		if !s.started.Load() {
			return errors.New("webhook server has not started")
		}

		return nil
	}
}

// Start implements webhook.Server: it serves until ctx ends.
func (s *server) Start(ctx context.Context) error {
	serving := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: headersWithin,
		TLSConfig:         &tls.Config{GetCertificate: s.certificate, MinVersion: tls.VersionTLS13},
	}
	stopped := make(chan error, 1)

	stop := context.AfterFunc(ctx, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopsWithin)
		defer cancel()

		stopped <- errors.Join(serving.Shutdown(stopping), serving.Close())
	})

	s.started.Store(true)

	err := serving.ServeTLS(s.listener, "", "")
	if stop() {
		return fmt.Errorf("serve webhooks: %w", err) // nobody told it to end
	}

	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop webhooks: %w", err)
	}

	return nil
}
