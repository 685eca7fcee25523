package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// Config is what the API server needs to know.
type Config struct {
	// Listener takes the connections. The server closes it.
	Listener *net.TCPListener
	// AdvertiseAddress is the address that clients are told.
	AdvertiseAddress netip.Addr
	// EtcdServers are the URLs of the database.
	EtcdServers []string
	// Authority signs and checks certificates. Its serving certificate must have been made.
	Authority *pki.Authority
	// Loopback is how this process reaches the server as its owner.
	Loopback *rest.Config
	// LocalServices and WebhookServices are those that webhooks may be reached by. No Services run here.
	LocalServices   []LocalService
	WebhookServices []WebhookService
	// ServerLogs are what the machines of Servers have logged. There are none when it is nil.
	ServerLogs registry.Logs
	// ReadyChecks are asked by /readyz beside the server's own: they stand for the rest of the appliance.
	ReadyChecks []healthz.HealthChecker
}

// Server is the API server.
type Server struct {
	config Config
	client rest.Interface
}

// New prepares the server; it is built and started by Run, when the database answers. Clients can be made before.
func New(config Config) (*Server, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config.Loopback)
	if err != nil {
		return nil, fmt.Errorf("make readiness client: %w", err)
	}

	return &Server{config: config, client: client.RESTClient()}, nil
}

// Name identifies the component.
func (*Server) Name() string { return "apiserver" }

// Run serves until ctx ends and the requests under way are answered.
func (s *Server) Run(ctx context.Context) error {
	// What the chain starts while it is built lives until the server has stopped, not until ctx ends.
	building, cancel := context.WithCancel(context.Background())
	defer cancel()

	first, err := s.config.newChain(building)
	if err != nil {
		return fmt.Errorf("build API server: %w", err)
	}

	if err := first.GenericAPIServer.AddReadyzChecks(s.config.ReadyChecks...); err != nil {
		return fmt.Errorf("add readiness checks: %w", err)
	}

	prepared, err := first.PrepareRun()
	if err != nil {
		return fmt.Errorf("prepare API server: %w", err)
	}

	if err := prepared.Run(ctx); err != nil {
		return fmt.Errorf("serve API: %w", err)
	}

	return nil
}

// answersWithin bounds one question whether the server is ready. Connections made before it serves wait for it, and the
// client's own limit of 32 s would keep everything that waits for the answer.
const answersWithin = 10 * time.Second

// Ready tells whether the API server itself is ready, whatever the rest of the appliance is.
func (s *Server) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()

	request := s.client.Get().AbsPath("/readyz")
	for _, check := range s.config.ReadyChecks {
		request = request.Param("exclude", check.Name())
	}

	body, err := request.Do(ctx).Raw()
	if err != nil {
		return fmt.Errorf("ask /readyz: %w%s", err, failedChecks(body))
	}

	return nil
}

// failedChecks are those lines of a /readyz reply that name a failed check.
func failedChecks(body []byte) string {
	var failed []string

	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "[-]") {
			failed = append(failed, strings.TrimSpace(line))
		}
	}

	if failed == nil {
		return ""
	}

	return ": " + strings.Join(failed, "; ")
}

// Check turns a component's readiness into a check of /readyz.
func Check(name string, ready func(context.Context) error) healthz.HealthChecker {
	return healthz.NamedCheck(name, func(r *http.Request) error { return ready(r.Context()) })
}
