package events_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	sink "github.com/siderolabs/siderolink/api/events"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sidero-appliance/sidero-appliance/metadata/events"
)

type kept struct {
	at, keep error
	from     netip.Addr
	effects  []events.Effect
}

func (k *kept) At(_ context.Context, from netip.Addr) (events.Machine, error) {
	k.from = from
	return events.Machine{Server: "s"}, k.at
}

func (k *kept) Keep(_ context.Context, m events.Machine, e events.Effect) error {
	if m.Server == "s" {
		k.effects = append(k.effects, e)
	}
	return k.keep
}

func packed(t *testing.T, event proto.Message) *anypb.Any {
	t.Helper()
	data, err := anypb.New(event)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPublish(t *testing.T) {
	for _, test := range []struct {
		name     string
		machines kept
		data     *anypb.Any
		want     codes.Code
		effects  int
	}{
		{"kept", kept{}, packed(t, &machine.PhaseEvent{Phase: "install"}), codes.OK, 1},
		{"sender not known yet", kept{at: events.ErrUnknown}, packed(t, &machine.PhaseEvent{}), codes.NotFound, 0},
		{"sender cannot be looked up", kept{at: errors.New("down")}, packed(t, &machine.PhaseEvent{}), codes.Unavailable, 0},
		{"cannot be kept", kept{keep: errors.New("down")}, packed(t, &machine.PhaseEvent{}), codes.Unavailable, 1},
		{"of a later Talos", kept{}, &anypb.Any{TypeUrl: "talos/runtime/machine.FutureEvent", Value: []byte{1}}, codes.OK, 0},
		{"broken", kept{}, &anypb.Any{TypeUrl: packed(t, &machine.PhaseEvent{}).GetTypeUrl(), Value: []byte{0xff}}, codes.OK, 0},
		{"with the prefix that Talos uses", kept{}, &anypb.Any{TypeUrl: "talos/runtime/machine.PhaseEvent"}, codes.OK, 1},
		{"empty", kept{}, nil, codes.OK, 0},
		{"too large", kept{}, packed(t, &machine.ConfigLoadErrorEvent{Error: string(make([]byte, events.MaxEvent))}), codes.ResourceExhausted, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := serve(t, &test.machines)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := client.Publish(ctx, &sink.EventRequest{Id: "1", Data: test.data})
			if status.Code(err) != test.want || len(test.machines.effects) != test.effects {
				t.Errorf("%v, %d effects", err, len(test.machines.effects))
			}
			if test.want != codes.ResourceExhausted && test.machines.from != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("sender is %s", test.machines.from)
			}
		})
	}
}

func serve(t *testing.T, machines events.Machines) sink.EventSinkServiceClient {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(events.MaxEvent))
	(&events.Sink{Machines: machines, Log: slog.New(slog.DiscardHandler)}).Register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return sink.NewEventSinkServiceClient(connection)
}
