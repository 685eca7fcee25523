package events

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"github.com/siderolabs/siderolink/api/events"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// MaxEvent is the largest event that is read, in bytes. Talos cuts none, and its largest are error messages.
const MaxEvent = 256 << 10

// Machine is who sends events.
type Machine struct {
	// Server is the name of its Server.
	Server string
	Facts  Facts
}

// ErrUnknown tells that nobody is known at an address, now.
var ErrUnknown = errors.New("no machine is known at this address")

// Machines know who sends, and keep what is found. Talos sends an event again that failed, so that keeping must bear repetition.
type Machines interface {
	// At returns whose an address in the tunnel is, or ErrUnknown.
	At(ctx context.Context, tunnel netip.Addr) (Machine, error)
	// Keep keeps what an event says. It is called for events of no effect too.
	Keep(ctx context.Context, machine Machine, effect Effect) error
}

// Sink is siderolink's EventSinkService. It fails the call for what it could not keep, which makes Talos send it again.
type Sink struct {
	events.UnimplementedEventSinkServiceServer

	Machines Machines
	Log      *slog.Logger
}

// Register adds the service to a server, which should read no larger messages than MaxEvent.
func (s *Sink) Register(to grpc.ServiceRegistrar) { events.RegisterEventSinkServiceServer(to, s) }

// Publish implements events.EventSinkServiceServer.
func (s *Sink) Publish(ctx context.Context, request *events.EventRequest) (*events.EventResponse, error) {
	from, err := remote(ctx)
	if err != nil {
		return nil, err
	}

	machine, err := s.Machines.At(ctx, from)
	if errors.Is(err, ErrUnknown) {
		return nil, status.Error(codes.NotFound, err.Error())
	}

	if err != nil {
		s.Log.Error("sender of a Talos event could not be looked up", "remote", from, "error", err)

		return nil, status.Error(codes.Unavailable, "sender could not be looked up")
	}

	kind := request.GetData().GetTypeUrl()
	log := s.Log.With("server", machine.Server, "event_id", request.GetId(), "type", kind)

	event, err := request.GetData().UnmarshalNew()
	if errors.Is(err, protoregistry.NotFound) {
		log.Debug("event of a kind that is not known here")

		return &events.EventResponse{}, nil
	}

	if err != nil { // sent again, it would be no better
		log.Warn("event of Talos could not be read", "error", err)

		return &events.EventResponse{}, nil
	}

	effect := Decide(event, machine.Facts)
	log.Debug("event of Talos", "step", effect.Step)

	if err := s.Machines.Keep(ctx, machine, effect); err != nil {
		log.Error("event of Talos could not be kept", "error", err)

		return nil, status.Error(codes.Unavailable, "event could not be kept")
	}

	return &events.EventResponse{}, nil
}

// remote is the address that a call is from.
func remote(ctx context.Context) (netip.Addr, error) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}, status.Error(codes.Internal, "the call has no sender")
	}

	address, err := netip.ParseAddrPort(caller.Addr.String())
	if err != nil {
		return netip.Addr{}, status.Error(codes.InvalidArgument, "events come over TCP only")
	}

	return address.Addr().Unmap().WithZone(""), nil
}
