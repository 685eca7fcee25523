package agent

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
)

// tellMore tells what Sidero's protocol has no words for.
func (r *registrar) tellMore(ctx context.Context) {
	r.tell(ctx, inventory.More(r.sources))
}

// tellNews tells what has changed with the adapters since: links come up some seconds after
// they are switched on, and switches announce themselves twice a minute.
func (r *registrar) tellNews(ctx context.Context) {
	if r.told == nil {
		return
	}
	interfaces, err := r.agent.Machine.Interfaces()
	if err != nil {
		return // the next registration tells why
	}
	now := r.sources
	now.Interfaces = interfaces
	if more := inventory.More(now); !proto.Equal(more, r.told) {
		r.tell(ctx, more)
	}
}

// tell has the appliance know more. One that does not take it knows the machine without.
func (r *registrar) tell(ctx context.Context, more *api.TellRequest) {
	r.told = nil
	request := proto.CloneOf(more)
	request.Registration = r.registration(r.hardware)
	_, err := call(ctx, api.NewFactsClient(r.conn).Tell, request)
	switch {
	case err == nil:
		r.told = more
	case ctx.Err() == nil && status.Code(err) != codes.Unimplemented:
		r.agent.Logger.Warn("the appliance does not take more facts; they are told again with the next registration",
			"remote", r.endpoint, "error", status.Convert(err).Message())
	}
}
