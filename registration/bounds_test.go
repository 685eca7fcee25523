package registration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

// pool is an API with so many servers, none of which is the one that is asked for.
type pool struct {
	client.Client

	accepted, waiting int
}

func (p pool) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha2.GroupName, Resource: "servers"}, key.Name)
}

func (p pool) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	all, ok := list.(*v1alpha2.ServerList)
	if !ok {
		return nil // there are no others
	}

	servers := make([]v1alpha2.Server, p.accepted+p.waiting)
	for i := range p.accepted {
		servers[i].Spec.Accepted = true
	}

	all.Items = servers

	return nil
}

func (pool) Create(context.Context, client.Object, ...client.CreateOption) error { return nil }

func TestRoom(t *testing.T) {
	for name, test := range map[string]struct {
		auto bool
		pool pool
		want error
	}{
		"a person accepts, there is room":        {pool: pool{waiting: maxWaiting - 1, accepted: maxAccepted}},
		"a person accepts, too many wait":        {pool: pool{waiting: maxWaiting}, want: errFull},
		"accepted by policy, there is room":      {auto: true, pool: pool{accepted: maxAccepted - 1}},
		"accepted by policy, there are too many": {auto: true, pool: pool{accepted: maxAccepted - 5, waiting: 5}, want: errFullAccepted},
	} {
		t.Run(name, func(t *testing.T) {
			log := &bytes.Buffer{}
			service := New(Config{
				Client: test.pool, Cache: test.pool, Policy: Policy{AutoAccept: test.auto}, Logger: slog.New(slog.NewTextHandler(log, nil)),
			})

			_, err := service.ensure(t.Context(), "new", identity.Verdict{Name: "new", New: true})
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}

			if err == nil {
				return
			}

			if refusal := service.fail(t.Context(), service.config.Logger, "register server", err); status.Code(refusal) != codes.ResourceExhausted {
				t.Errorf("answered %v", refusal)
			}

			if !strings.Contains(log.String(), "delete") {
				t.Errorf("the log does not say what to do: %s", log)
			}
		})
	}
}

// TestNewNamesAreLimited: one address may register a hall of machines at once, but not make them up for ever.
func TestNewNamesAreLimited(t *testing.T) {
	service := New(Config{Client: pool{}, Cache: pool{}, Logger: slog.New(slog.DiscardHandler)})

	for n := range newAtOnce * 2 {
		created, err := service.ensure(t.Context(), "", identity.Verdict{Name: fmt.Sprint(n), New: true})
		if errors.Is(err, errHasty) && !created && n >= newAtOnce {
			return
		}

		if err != nil {
			t.Fatalf("new machine %d: %v", n, err)
		}
	}

	t.Error("one address may register new machines for ever")
}

// TestRegistrationsInTheLog: a machine that was started has a line at info level, one that waits has none.
func TestRegistrationsInTheLog(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	service := New(Config{Quiet: quiet.New(clock).Level})
	service.visits = newVisits(clock)

	refresh := agent.DefaultPace().Refresh
	for _, step := range []struct {
		what  string
		after time.Duration
		new   bool
		want  slog.Level
	}{
		{"new", 0, true, slog.LevelInfo},
		{"started again", 20 * time.Second, false, slog.LevelInfo},
		{"tried again", time.Second, false, slog.LevelDebug},
		{"waits", refresh, false, slog.LevelDebug},
		{"waits on", refresh + 10*time.Second, false, slog.LevelDebug},
		{"started again while it waited", 2 * time.Minute, false, slog.LevelInfo},
		{"was off", time.Hour, false, slog.LevelInfo},
		{"waits then", refresh, false, slog.LevelDebug},
	} {
		now = now.Add(step.after)

		level, started := service.level("box", step.new)
		if level != step.want {
			t.Errorf("%s: not %s", step.what, step.want)
		}

		if started == strings.HasPrefix(step.what, "waits") {
			t.Errorf("%s: started: %t", step.what, started)
		}
	}
}

// TestRefusalsInTheLog: a machine that is refused for ever, and one that the API does not know, have a line a minute.
func TestRefusalsInTheLog(t *testing.T) {
	now, log := time.Now(), &bytes.Buffer{}
	service := New(Config{
		Client: pool{}, Cache: pool{}, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Quiet: quiet.New(func() time.Time { return now }).Level,
	})

	for _, id := range []string{"00000000-0000-0000-0000-000000000000", "4c4c4544-0042-3510-8051-b4c04f564432"} {
		log.Reset()

		now = now.Add(quiet.Interval)
		for _, want := range []int{1, 1, 2} { // at 0, 30 and 60 seconds
			if _, err := service.Heartbeat(t.Context(), &api.HeartbeatRequest{Uuid: id}); err == nil {
				t.Fatal("taken")
			}

			if lines := strings.Count(log.String(), "level=WARN"); lines != want {
				t.Errorf("%d lines, want %d:\n%s", lines, want, log)
			}

			now = now.Add(30 * time.Second)
		}
	}
}

// TestHangUp lets a machine hang up in the middle of a call: what it began is finished, within its time.
func TestHangUp(t *testing.T) {
	hungUp, hangUp := context.WithCancel(t.Context())
	info := &grpc.UnaryServerInfo{FullMethod: api.Agent_Heartbeat_FullMethodName}

	_, err := bounded()(hungUp, nil, info, func(ctx context.Context, _ any) (any, error) {
		hangUp()

		if end, ok := ctx.Deadline(); !ok || time.Until(end) > answersWithin {
			t.Errorf("it may take until %v", end)
		}

		return nil, ctx.Err()
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCallsTakeTurns: of many calls some are answered at a time, and one whose machine has hung up while it waited for its turn is not
// begun.
func TestCallsTakeTurns(t *testing.T) {
	info := &grpc.UnaryServerInfo{FullMethod: api.Agent_Heartbeat_FullMethodName}
	interceptor, begun, release := bounded(), make(chan struct{}, 2*callsAtOnce), make(chan struct{})
	call := func(ctx context.Context) error {
		_, err := interceptor(ctx, nil, info, func(context.Context, any) (any, error) {
			begun <- struct{}{}
			<-release

			return nil, nil //nolint:nilnil // nobody reads it
		})

		return err //nolint:wrapcheck // it is a status
	}

	var calls sync.WaitGroup
	for range callsAtOnce {
		calls.Go(func() {
			if err := call(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}

	for range callsAtOnce {
		<-begun
	}

	hungUp, hangUp := context.WithCancel(t.Context())
	hangUp()

	if err := call(hungUp); status.Code(err) != codes.Canceled {
		t.Errorf("a call without a turn: %v", err)
	}

	close(release)
	calls.Wait()

	if err := call(t.Context()); err != nil || len(begun) != 1 {
		t.Errorf("the next call: %v, %d begun", err, len(begun))
	}
}

// TestOneServerIsLimited: from however many addresses, a Server is not written without end.
func TestOneServerIsLimited(t *testing.T) {
	service := New(Config{Client: pool{}, Cache: pool{}, Logger: slog.New(slog.DiscardHandler)})

	for n := range writesAtOnce * 2 {
		from := &net.TCPAddr{IP: net.IPv4(10, 0, byte(n/256), byte(n)), Port: 1024}
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: from})

		_, err := service.Heartbeat(ctx, &api.HeartbeatRequest{Uuid: "4c4c4544-0042-3510-8051-b4c04f564432"})
		if status.Code(err) == codes.ResourceExhausted && n >= writesAtOnce {
			return
		}

		if status.Code(err) != codes.NotFound {
			t.Fatalf("call %d is answered %v", n, err)
		}
	}

	t.Error("a Server is written without end")
}

// TestManyAddresses: of a machine that tells a thousand addresses the API is asked for a few.
func TestManyAddresses(t *testing.T) {
	asked := &asking{}
	service := New(Config{Client: asked, Cache: pool{}, Logger: slog.New(slog.DiscardHandler)})

	var told identity.Facts
	for i := range 1000 {
		told.MACs = append(told.MACs, fmt.Sprintf("00:25:90:00:%02x:%02x", i/256, i%256))
	}

	if _, err := service.identify(t.Context(), asked, "4c4c4544-0042-3510-8051-b4c04f564432", told); err != nil || asked.times > 2+maxFurther {
		t.Errorf("asked %d times, %v", asked.times, err)
	}
}

// asking is an empty API that counts what it is asked.
type asking struct {
	pool

	times int
}

func (a *asking) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	a.times++

	return a.pool.Get(ctx, key, o, options...)
}

// TestMadeIsForgotten: a Server that the cache has is not remembered beside it.
func TestMadeIsForgotten(t *testing.T) {
	service := New(Config{})
	server := &v1alpha2.Server{}
	server.Name = "4c4c4544-0042-3510-8051-b4c04f564432-00259000000a"
	id, _ := identity.UUIDOf(server.Name)

	service.made.add(id, server.Name)

	if got := service.made.of(id); len(got) != 1 {
		t.Fatalf("made %v", got)
	}

	if service.concern(server); len(service.made.names) > 0 {
		t.Errorf("%v are remembered", service.made.names)
	}
}
