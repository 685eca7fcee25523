package registration

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/keymutex"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

// acceptManager is who accepts a server when it is done by policy: another one than FieldManager, which must not own
// that field, or a later report of facts would take the acceptance back.
const acceptManager = "sidero-auto-accept"

const (
	// newPerSecond and newAtOnce are how many new machines one address may register. Each has its own, but for networks
	// behind a router that hides them, where a whole hall may be switched on.
	newPerSecond = 5
	newAtOnce    = 300

	// nameLocks is how many registrations go on at a time, at most.
	nameLocks = 64
)

var errHasty = errors.New("too many new machines from one address")

// Reasons of Events, in upstream's words.
const (
	eventRegistered = "Server Registration"
	eventWiped      = "Server Wipe"
	eventBMC        = "BMC Update"
)

// Policy is what an accepted server is told. Its settings are upstream's, by the same names.
type Policy struct {
	AutoAccept    bool
	AutoBMCSetup  bool
	InsecureWipe  bool
	RebootTimeout time.Duration
}

// Config is what the service needs.
type Config struct {
	// Client reads and writes without a cache: what was just written must be seen.
	Client client.Client
	// Cache reads from memory: what need not be new.
	Cache    client.Reader
	Recorder events.EventRecorder
	// Informers tell when a Server, a ServerBinding or a ServerClass has changed. Run needs them.
	Informers cache.Informers
	Policy    Policy
	// Hold is how long a machine that asks for orders waits when there are none: 50 s when it is zero.
	Hold   time.Duration
	Logger *slog.Logger
	// Quiet is the level to log a line at: the given one, or a lower one for a repetition of the same sender. Optional.
	Quiet func(level slog.Level, who, what string) slog.Level
	// Observe is told of the end of each call: its method, or UnknownMethod, and its gRPC status code. It must not block.
	// Optional.
	Observe func(method, code string)
	// Step is told what machines have come to. It must not block. Optional.
	Step func(Step)
}

// Service implements api.AgentServer, api.FactsServer and api.OrdersServer.
type Service struct {
	api.UnimplementedAgentServer
	api.UnimplementedFactsServer
	api.UnimplementedOrdersServer

	config Config
	// names are UUIDs, locked while a machine registers: of two registrations of a new machine one makes it.
	names     keymutex.KeyMutex
	newcomers *limiter[netip.Addr]
	// changes are calls that change a Server, by its name.
	changes  *limiter[string]
	visits   *visits
	waiters  *waiters
	callers  callers
	made     made
	disputes disputes
	room     room
}

// New makes the service.
func New(config Config) *Service {
	return &Service{
		config:    config,
		names:     keymutex.NewHashed(nameLocks),
		newcomers: newLimiter[netip.Addr](newPerSecond, newAtOnce),
		changes:   newLimiter[string](writesPerSecond, writesAtOnce),
		visits:    newVisits(time.Now),
		waiters:   newWaiters(),
		made:      made{names: map[string][]string{}},
		disputes:  newDisputes(),
	}
}

// CreateServer registers a machine, or refreshes what is known of one that came back, and says what it shall do.
func (s *Service) CreateServer(ctx context.Context, request *api.CreateServerRequest) (*api.CreateServerResponse, error) {
	reported, err := machine.Parse(request)
	if err != nil {
		return nil, s.refuse(ctx, err)
	}

	s.names.LockKey(reported.UUID)
	defer s.names.UnlockKey(reported.UUID) //nolint:errcheck // always nil

	verdict, told, err := s.recognise(ctx, reported)
	if err != nil {
		return nil, err
	}

	name := verdict.Name
	if err := s.affordable(ctx, name); err != nil {
		return nil, err
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	created, err := s.ensure(ctx, reported.UUID, verdict)
	if err != nil {
		return nil, s.fail(ctx, log, "register server", err)
	}

	if !created {
		if err := s.recall(ctx, name, &reported); err != nil {
			return nil, s.fail(ctx, log, "read server", err)
		}
	}

	server, kept, err := applyFacts(ctx, s.config.Client, target{name: name}, reported)
	if err != nil {
		return nil, s.fail(ctx, log, "store hardware", err)
	}

	if server, err = s.know(ctx, server, told); err != nil {
		return nil, s.fail(ctx, log, "store identity", err)
	}

	s.callers.registered(remote(ctx), reported.UUID, name)

	level, started := s.level(name, created)
	if len(kept) > 0 {
		log.Log(ctx, level, "facts differ from what somebody else has set, which is kept", "fields", kept)
	}

	if created {
		s.event(server, eventRegistered, "the machine registered for the first time")
	}

	log.Log(ctx, level, "machine registered", "new", created, "accepted", server.Spec.Accepted)

	if started {
		s.step(ctx, server, stepAgent, "")
	}

	setup, err := s.accountSetup(ctx, server)
	if err != nil {
		return nil, s.fail(ctx, log, "read account of the BMC", err)
	}

	response := answer(server, s.config.Policy)
	// By Sidero's protocol there is no word for another account beside one in use.
	response.SetupBmc = setup != nil && setup.GetUserInUse() == ""

	if response.GetWipe() {
		binding, err := bindingOf(ctx, s.config.Client, name)
		if err != nil {
			return nil, s.fail(ctx, log, "read binding", err)
		}

		classes, err := s.currentClasses(ctx)
		if err != nil {
			return nil, s.fail(ctx, log, "read classes", err)
		}

		policy := orders.Policy(server, classes, s.settings())
		response.Wipe = orders.WipesAll(server, binding, policy)
		response.InsecureWipe = response.Wipe && (policy.Policy.Method == v1alpha2.WipeFast || policy.Policy.Method == v1alpha2.WipeDiscard)
	}

	return response, nil
}

// level is the level to log a registration at, and tells whether the machine was started. Only such a one is worth a line, once
// a minute.
func (s *Service) level(name string, created bool) (level slog.Level, started bool) {
	again := s.visits.refresh(name)

	switch {
	case created:
		return slog.LevelInfo, true
	case again:
		return slog.LevelDebug, false
	default:
		return s.config.quietly(slog.LevelInfo, name, "registered"), true
	}
}

// answer is what a machine is told to do by Sidero's protocol. Only an accepted one is told anything, and one in use is never
// told to wipe.
func answer(server *v1alpha2.Server, policy Policy) *api.CreateServerResponse {
	if !orders.MayTouch(server) {
		return &api.CreateServerResponse{}
	}

	response := &api.CreateServerResponse{}

	if !server.Status.IsClean && !server.Status.InUse {
		response.Wipe = true
		// Upstream's agent divides by it: it must not be zero.
		response.RebootTimeout = max(policy.RebootTimeout, time.Second).Seconds()
	}

	return response
}

// ensure tells whether the server is new. Where policy accepts servers it also makes it, accepted; where a person does,
// it is made with the first facts, and nobody owns the field that says accepted. One whose UUID others claim is made before it
// has any, as undecided.
func (s *Service) ensure(ctx context.Context, id string, verdict identity.Verdict) (created bool, err error) {
	if !verdict.New {
		return false, nil
	}

	if !s.newcomers.allowed(address(ctx)) {
		return false, errHasty
	}

	if err := s.room.enter(ctx, s.config); err != nil {
		return true, err
	}

	switch {
	case len(verdict.Others) > 0:
		return true, s.admit(ctx, id, verdict)
	case !s.config.Policy.AutoAccept:
		return true, nil
	}

	server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: verdict.Name}, Spec: v1alpha2.ServerSpec{Accepted: true}}

	err = s.config.Client.Create(ctx, server, client.FieldOwner(acceptManager))
	if apierrors.IsAlreadyExists(err) {
		return false, nil
	}

	return err == nil, err
}

func (s *Service) server(ctx context.Context, name string) (*v1alpha2.Server, error) {
	server := &v1alpha2.Server{}
	if err := s.config.Client.Get(ctx, client.ObjectKey{Name: name}, server); err != nil {
		return nil, err
	}

	return server, nil
}

func (s *Service) event(server *v1alpha2.Server, reason, note string) {
	s.config.Recorder.Eventf(server, nil, corev1.EventTypeNormal, reason, "Register", "%s", note)
}

// refuse answers a request that no machine in its right mind sends.
func (s *Service) refuse(ctx context.Context, cause error) error {
	return s.deny(ctx, codes.InvalidArgument, cause)
}

// fail answers when the API does not do what it should. The agent tries again.
func (s *Service) fail(ctx context.Context, log *slog.Logger, doing string, cause error) error {
	code := codes.Internal

	switch {
	case apierrors.IsNotFound(cause):
		code = codes.NotFound
	case errors.Is(cause, errFull), errors.Is(cause, errFullAccepted), errors.Is(cause, errHasty):
		code = codes.ResourceExhausted
	case apierrors.IsInvalid(cause), apierrors.IsBadRequest(cause):
		code = codes.InvalidArgument
	case errors.Is(cause, context.Canceled):
		code = codes.Canceled
	case errors.Is(cause, context.DeadlineExceeded), apierrors.IsServerTimeout(cause), apierrors.IsTooManyRequests(cause):
		code = codes.Unavailable
	}

	level := s.config.quietly(slog.LevelWarn, address(ctx).String(), "failed "+doing+" "+code.String())
	log.Log(ctx, level, "registration request failed", "stage", doing, "reason", cause)

	// The cause is for the log: the API's words name users and rights, and anybody may ask here.
	return status.Errorf(code, "cannot %s: the appliance's log has the reason", doing)
}

func remote(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}

	return ""
}
