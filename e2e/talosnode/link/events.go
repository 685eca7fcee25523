package link

import (
	"context"
	"fmt"
	"net"
	"time"

	pb "github.com/siderolabs/siderolink/api/events"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// typePrefix is what Talos has before the names of its events.
const typePrefix = "talos/runtime/"

// report sends events in their order. One that the sink could not take is sent again.
func (l *Link) report(ctx context.Context, address string) {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return l.dial(ctx, address) }),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: triesAgain, Multiplier: 1, MaxDelay: triesAgain}, MinConnectTimeout: asksWithin,
		}))
	if err != nil {
		l.Log.Error("event sink cannot be used", "error", err)

		return
	}

	defer connection.Close()

	sink := pb.NewEventSinkServiceClient(connection)

	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case next := <-l.events:
			if next.mark != nil {
				close(next.mark)

				continue
			}

			id := fmt.Sprintf("%d-%d", time.Now().UnixNano(), n)
			for err := publish(ctx, sink, id, next.event); err != nil; err = publish(ctx, sink, id, next.event) {
				l.Log.Debug("event is not sent yet", "error", err)

				if !wait(ctx) {
					return
				}
			}
		}
	}
}

func publish(ctx context.Context, sink pb.EventSinkServiceClient, id string, event proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, asksWithin)
	defer cancel()

	value, err := proto.Marshal(event)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}

	_, err = sink.Publish(ctx, &pb.EventRequest{
		Id: id, Data: &anypb.Any{TypeUrl: typePrefix + string(event.ProtoReflect().Descriptor().FullName()), Value: value},
	})
	if err != nil {
		return fmt.Errorf("send event: %w", err)
	}

	return nil
}
