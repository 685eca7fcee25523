package registration

import (
	"cmp"
	"context"
	"log/slog"
	"path"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// UnknownMethod stands for every method that the service does not have.
const UnknownMethod = "unknown"

// calls watches all calls of known methods from outside, as grpc's stats.Handler: interceptors never see one whose
// request cannot be decoded or is too large.
type calls struct {
	config  Config
	methods methods
}

type callKey struct{}

// call is one call under way.
type call struct {
	method string
	// decoded is set when the service itself has the request, and so logs what is wrong with it.
	decoded atomic.Bool
}

// TagRPC implements stats.Handler.
func (c calls) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callKey{}, &call{method: c.methods.of(info.FullMethodName)})
}

// HandleRPC implements stats.Handler.
func (c calls) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, isEnd := event.(*stats.End)
	now, ok := ctx.Value(callKey{}).(*call)
	if !isEnd || !ok {
		return
	}

	if end.Error != nil && !now.decoded.Load() {
		c.config.refused(remote(ctx), now.method, end.Error)
	}

	c.config.observe(now.method, status.Code(end.Error))
}

// TagConn and HandleConn implement stats.Handler: connections are HTTP's business.
func (calls) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (calls) HandleConn(context.Context, stats.ConnStats) {}

// Offer is a gRPC service that machines find on the port.
type Offer struct {
	Description grpc.ServiceDesc
	Service     any
}

// offers are Sidero's, and what there is beyond it.
func (s *Service) offers() []Offer {
	return []Offer{{api.Agent_ServiceDesc, s}, {api.Facts_ServiceDesc, s}, {api.Orders_ServiceDesc, s}}
}

// description is a service's with a say in how requests are decoded: what cannot be is the sender's fault, while grpc
// calls it an internal error.
func description(of grpc.ServiceDesc) *grpc.ServiceDesc {
	of.Methods = slices.Clone(of.Methods)

	for i, method := range of.Methods {
		of.Methods[i].Handler = func(service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc's type
			return method.Handler(service, ctx, func(request any) error {
				if err := decode(request); err != nil {
					return status.Error(codes.InvalidArgument, status.Convert(err).Message())
				}

				if now, ok := ctx.Value(callKey{}).(*call); ok {
					now.decoded.Store(true)
				}

				return nil
			}, interceptor)
		}
	}

	return &of
}

// methods are the names of those that there are, without their service's, by their full ones.
type methods map[string]string

func methodsOf(offers []Offer) methods {
	all := methods{}

	for _, offer := range offers {
		for _, method := range offer.Description.Methods {
			all[path.Join("/", offer.Description.ServiceName, method.MethodName)] = method.MethodName
		}
	}

	return all
}

// of is a method's name, UnknownMethod for what a client made up.
func (m methods) of(full string) string { return cmp.Or(m[full], UnknownMethod) }

func (c Config) observe(method string, code codes.Code) {
	if c.Observe != nil {
		c.Observe(method, code.String())
	}
}

// quietly is the level to log a line at that somebody can cause again and again.
func (c Config) quietly(level slog.Level, who, what string) slog.Level {
	if c.Quiet == nil {
		return level
	}

	return c.Quiet(level, who, what)
}

// refused logs a call that was refused: the first of its kind as a warning.
func (c Config) refused(remote, method string, reason error) {
	refusal := status.Convert(reason)
	level := c.quietly(slog.LevelWarn, addressOf(remote).String(), "refused "+method+" "+refusal.Code().String())
	c.Logger.Log(context.Background(), level, "registration request refused",
		"remote", remote, "method", method, "code", refusal.Code().String(), "reason", refusal.Message())
}
