// Package health serves what tells whether the appliance works: /healthz,
// /readyz and /metrics, plainly, on the loopback. The API server serves the same
// to authorised callers from elsewhere; nothing here is for them.
//
// The paths, "ok", ?verbose and its [+] and [-] lines are those of Kubernetes's
// API server (kubernetes.io/docs/reference/using-api/health-checks).
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Check is the state of one component: a nil Err is good.
type Check struct {
	Name string
	Err  error
}

// Config is what the server needs.
type Config struct {
	// Address to listen on, host and port.
	Address string
	// Checks asks every component.
	Checks func(context.Context) []Check
	// Metrics serves /metrics, if set.
	Metrics http.Handler
	Log     *slog.Logger
}

const (
	checkTimeout = 5 * time.Second
	readTimeout  = 10 * time.Second
	stopTimeout  = time.Second
)

// Server is a component of the appliance.
type Server struct {
	cfg     Config
	serving atomic.Bool
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// Name implements the component contract.
func (s *Server) Name() string { return "health" }

// Ready implements the component contract.
func (s *Server) Ready(context.Context) error {
	if !s.serving.Load() {
		return errors.New("not listening")
	}
	return nil
}

// Run implements the component contract.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return fmt.Errorf("listen for health checks: %w", err)
	}
	server := &http.Server{
		Handler:     s.Handler(),
		ReadTimeout: readTimeout,
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.serving.Store(true)
	defer s.serving.Store(false)
	select {
	case err := <-failed:
		return fmt.Errorf("serve health checks: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		return server.Close() // somebody's connection is not worth waiting for
	}
	return nil
}

// Handler serves the three paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	return mux
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	report, ok := describe(s.cfg.Checks(ctx))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case !ok:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, report, "readyz check failed\n")
	case r.URL.Query().Has("verbose"):
		fmt.Fprint(w, report, "readyz check passed\n")
	default:
		fmt.Fprint(w, "ok")
	}
}

// describe writes a line for each check and says whether all are good.
func describe(checks []Check) (report string, ok bool) {
	var b strings.Builder
	ok = true
	for _, c := range checks {
		if c.Err == nil {
			fmt.Fprintf(&b, "[+]%s ok\n", c.Name)
			continue
		}
		ok = false
		fmt.Fprintf(&b, "[-]%s failed: %s\n", c.Name, strings.ReplaceAll(c.Err.Error(), "\n", "; "))
	}
	return b.String(), ok
}
