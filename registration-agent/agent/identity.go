package agent

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// caller has every call tell which machine makes it: others may have the same UUID. It is
// safe for concurrent use.
type caller struct {
	identity atomic.Pointer[api.Identity]
}

// call is a grpc.UnaryClientInterceptor.
func (c *caller) call(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error { //nolint:revive // grpc's type
	if identity := c.identity.Load(); identity != nil {
		var err error
		if ctx, err = api.WithIdentity(ctx, identity); err != nil {
			return err
		}
	}
	return invoke(ctx, method, request, reply, conn, options...)
}
