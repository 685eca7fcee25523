package registration

import (
	"context"
	"log/slog"
	"path"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// UnknownMethod stands for every method that the service does not have.
const UnknownMethod = "unknown"

// calls watches all calls from outside, as grpc's stats.Handler: interceptors never see one whose request cannot be
// decoded or is too large.
type calls struct{ config Config }

type callKey struct{}

// call is one call under way.
type call struct {
	method string
	// handled is set when the service itself has the request, and so logs what is wrong with it.
	handled atomic.Bool
}

// TagRPC implements stats.Handler.
func (calls) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callKey{}, &call{method: methodOf(info.FullMethodName)})
}

// HandleRPC implements stats.Handler.
func (c calls) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, isEnd := event.(*stats.End)
	now, ok := ctx.Value(callKey{}).(*call)
	if !isEnd || !ok {
		return
	}

	c.config.observe(now.method, status.Code(end.Error))

	if end.Error != nil && !now.handled.Load() {
		c.config.refused(ctx, now.method, end.Error)
	}
}

// TagConn and HandleConn implement stats.Handler: connections are HTTP's business.
func (calls) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (calls) HandleConn(context.Context, stats.ConnStats) {}

// markHandled is the first interceptor.
func markHandled(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if now, ok := ctx.Value(callKey{}).(*call); ok {
		now.handled.Store(true)
	}

	return handle(ctx, request)
}

// methodOf is a method's name without its service's, UnknownMethod for what a client made up.
func methodOf(full string) string {
	for _, method := range api.Agent_ServiceDesc.Methods {
		if full == path.Join("/", api.Agent_ServiceDesc.ServiceName, method.MethodName) {
			return method.MethodName
		}
	}

	return UnknownMethod
}

func (c Config) observe(method string, code codes.Code) {
	if c.Observe != nil {
		c.Observe(method, code.String())
	}
}

// refused logs a call that was refused: the first of its kind as a warning.
func (c Config) refused(ctx context.Context, method string, reason error) {
	level, from := slog.LevelWarn, address(ctx).String()
	if c.Quiet != nil {
		level = c.Quiet(level, from, "registration refused "+method+" "+status.Code(reason).String())
	}

	c.Logger.Log(ctx, level, "registration request refused", "remote", remote(ctx), "method", method, "reason", reason)
}
