package metadata

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/boottoken"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// rendersWithin bounds the making of one configuration.
const rendersWithin = 20 * time.Second

// Config is what a Service needs. Every field is required unless it says otherwise.
type Config struct {
	Lookup Lookup
	// Link tells where nodes report to.
	Link   func() (Link, error)
	Access Access
	Key    boottoken.Key
	// MAC is that of the machine in the local network that has an address; ok is false for others.
	MAC func(netip.Addr) (mac string, ok bool, err error)
	// Owner is the name of the Server that a MAC belongs to, empty when there is none, or several.
	Owner  func(ctx context.Context, mac string) string
	Events events.EventRecorder
	// Records keep what was handed out. Optional.
	Records *Records
	// Served is told what was handed out. It must not block. Optional.
	Served func(Fetch)
	Log    *slog.Logger
	Now    func() time.Time
}

// Fetch is a configuration that was handed out.
type Fetch struct {
	Binding *v1alpha3.ServerBinding
	// Address and MAC of the client; the MAC is empty when it is not known.
	Address, MAC  string
	Configuration []byte
}

// Service serves /configdata. It holds no state.
type Service struct{ config Config }

// New makes a Service.
func New(config Config) *Service { return &Service{config} }

// ServeHTTP answers as Sidero's metadata server: any method, the configuration or a line of text.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	configuration, err := s.fetch(r)
	if err != nil {
		answer(w, statusOf(err), []byte(err.Error()+"\n"))

		return
	}

	answer(w, http.StatusOK, configuration)
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the client has gone
}

func (s *Service) fetch(r *http.Request) ([]byte, error) {
	ctx, stop := context.WithTimeout(r.Context(), rendersWithin)
	defer stop()

	asked, err := parseRequest(r.URL.RawQuery)
	if err != nil {
		return nil, &Problem{http.StatusInternalServerError, err} // upstream's status
	}

	from, err := s.from(r.RemoteAddr)
	if err != nil {
		return nil, err
	}

	if !canNameServer(asked.server) {
		return nil, s.stranger(ctx, from, asked, missing("there is no server of this name"))
	}

	binding, server, err := s.config.Lookup.Binding(ctx, asked.server)
	if err != nil {
		return nil, s.stranger(ctx, from, asked, err)
	}

	facts := s.facts(asked, from, binding, server)
	verdict := Decide(facts)

	log := s.config.Log.With("server", server.Name, "remote", from.address, "mac", from.mac, "token", string(facts.Token))

	if verdict.Reason != "" {
		s.tell(server, verdict.Reason, verdict.Action, verdict.Message)
	}

	if !verdict.Allowed() {
		log.Debug("configuration refused", "reason", verdict.Message)

		return nil, &Problem{verdict.Status, errors.New(verdict.Message)}
	}

	configuration, err := s.render(ctx, binding, server)
	if err != nil {
		s.tell(server, ReasonFailed, renderAction(err), err.Error())
		log.Warn("configuration not made", "error", err)

		return nil, err
	}

	s.keep(ctx, log, facts, binding, configuration)
	log.Info("configuration handed out", "bytes", len(configuration))

	if s.config.Served != nil {
		s.config.Served(Fetch{Binding: binding, Address: from.address.String(), MAC: from.mac, Configuration: configuration})
	}

	return configuration, nil
}

func (s *Service) render(ctx context.Context, binding *v1alpha3.ServerBinding, server *metal.Server) ([]byte, error) {
	sources, err := s.config.Lookup.Sources(ctx, binding, server)
	if err != nil {
		return nil, err
	}

	link, err := s.config.Link()
	if err != nil {
		return nil, failed("find where nodes report to: %w", err)
	}

	configuration, err := Render(sources, link)
	if err != nil {
		return nil, failed("%w", err)
	}

	// Upstream hands it out too, and what is wrong may be for a newer Talos than is known here.
	if err := machineconfig.Validate(configuration); err != nil && machineconfig.Known(sources.TalosVersion) {
		s.tell(server, ReasonInvalid, renderAction(err), err.Error())
	}

	return configuration, nil
}

// keep has it on record what a machine is handed out, before it is. Machines are not to wait for a database that takes no more, so
// that it fails is only told.
func (s *Service) keep(ctx context.Context, log *slog.Logger, facts AccessFacts, binding *v1alpha3.ServerBinding, configuration []byte) {
	if s.config.Records == nil || facts.Client == ClientForeign {
		return
	}

	ctx, stop := context.WithTimeout(ctx, writesWithin)
	defer stop()

	if err := s.config.Records.WriteFetched(ctx, binding, Fetched{Configuration: configuration, At: s.config.Now()}); err != nil {
		log.Warn("what was handed out is not kept", "error", err)
	}
}

// tell makes an Event, which has no room for more.
func (s *Service) tell(about *metal.Server, reason, action, message string) {
	s.config.Events.Eventf(about, nil, corev1.EventTypeWarning, reason, action, "%.1000s", message)
}

// renderAction tells Events about configurations apart by what they say: the recorder counts those of one action as one, and shows
// the first.
func renderAction(err error) string {
	code := fnv.New32a()
	_, _ = code.Write([]byte(err.Error())) // it never fails

	return fmt.Sprintf("Render%08x", code.Sum32())
}

// peer is who asks.
type peer struct {
	address netip.Addr
	mac     string
}

func (s *Service) from(remote string) (peer, error) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return peer{}, failed("read the client's address: %w", err)
	}

	address, err := netip.ParseAddr(host)
	if err != nil {
		return peer{}, failed("read the client's address: %w", err)
	}

	address = address.Unmap()

	mac, ok, err := s.config.MAC(address)
	if err != nil {
		return peer{}, failed("find the client's MAC: %w", err)
	}

	if !ok {
		mac = ""
	}

	return peer{address, strings.ToLower(mac)}, nil
}

// stranger is an error of a request for what is no allocated server. The machine that asked may be one, and is told of there.
func (s *Service) stranger(ctx context.Context, from peer, asked request, err error) error {
	s.config.Log.Debug("configuration refused", "remote", from.address, "mac", from.mac, "reason", err)

	name := ""
	if from.mac != "" {
		name = s.config.Owner(ctx, from.mac)
	}

	if name == "" && canNameServer(asked.server) {
		name = asked.server
	}

	if about := s.known(ctx, name); about != nil {
		s.tell(about, ReasonRefused, "FetchWithoutUse",
			fmt.Sprintf("a machine at %s asked for the configuration of %.64q, and got none: %s", from.address, asked.server, err))
	}

	return err
}

// known is the Server of a name, nil if there is none.
func (s *Service) known(ctx context.Context, name string) *metal.Server {
	server := &metal.Server{}
	if name == "" || s.config.Lookup.Objects.Get(ctx, client.ObjectKey{Name: name}, server) != nil {
		return nil
	}

	server.SetGroupVersionKind(metal.GroupVersion.WithKind("Server"))

	return server
}

func (s *Service) facts(asked request, from peer, binding *v1alpha3.ServerBinding, server *metal.Server) AccessFacts {
	now := s.config.Now()
	window, _ := bootwindow.Of(binding, server, now)

	f := AccessFacts{
		Server: server.Name, Access: s.config.Access, Accepted: server.Spec.Accepted, Duplicate: server.Duplicate(),
		Window: window, Open: bootwindow.Open(window, binding.Status.ConfigurationLoadedAt, now),
		Client: clientOf(server, from.mac), MAC: from.mac, Address: from.address.String(),
	}

	if loaded := binding.Status.ConfigurationLoadedAt; loaded != nil {
		f.Loaded = loaded.Time
	}

	generation, genuine, err := s.config.Key.Check(asked.token, string(binding.UID))

	switch {
	case asked.token == "":
		f.Token = TokenMissing
	case err != nil || !genuine:
		f.Token = TokenForeign
	case !bootwindow.Accepts(window, generation):
		f.Token = TokenStale
	default:
		f.Token = TokenGood
	}

	return f
}

// clientOf compares the MAC of a client with those of a server.
func clientOf(server *metal.Server, mac string) Client {
	known := MACs(server)

	switch {
	case mac == "" || len(known) == 0:
		return ClientUnknown
	case slices.Contains(known, mac):
		return ClientOwn
	default:
		return ClientForeign
	}
}
