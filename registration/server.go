package registration

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

const (
	// maxRequest is the largest request, in bytes. A machine with hundreds of disks needs some tens of thousands.
	maxRequest = 256 << 10

	// answersWithin bounds the work for one request.
	answersWithin = 20 * time.Second

	// requestsPerSecond and requestsAtOnce are what one address may ask for. An agent asks twice in some minutes, and
	// during a wipe some times a minute.
	requestsPerSecond = 50
	requestsAtOnce    = 200

	// maxAddresses is how many addresses are remembered.
	maxAddresses = 4096
)

// NewServer makes the gRPC server of the service. One machine can neither crash it nor keep it busy for all others.
func NewServer(service *Service, log *slog.Logger) *grpc.Server {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.ChainUnaryInterceptor(recovering(log), newLimiter(log).limit, bounded),
	)
	api.RegisterAgentServer(server, service)

	return server
}

// recovering answers for a method that panics: grpc runs methods in goroutines where a panic would end the process.
func recovering(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				log.Error("registration request panicked", "remote", remote(ctx), "method", info.FullMethod,
					"reason", cause, "stack", string(debug.Stack()))

				err = status.Error(codes.Internal, "the appliance failed over this request; its log has the reason")
			}
		}()

		return handle(ctx, request)
	}
}

func bounded(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()

	return handle(ctx, request)
}

// limiter bounds the requests of each address.
type limiter struct {
	log *slog.Logger

	mu   sync.Mutex
	from map[netip.Addr]*rate.Limiter
}

func newLimiter(log *slog.Logger) *limiter {
	return &limiter{log: log, from: map[netip.Addr]*rate.Limiter{}}
}

func (l *limiter) limit(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if l.allowed(address(ctx)) {
		return handle(ctx, request)
	}

	l.log.Debug("registration request refused", "remote", remote(ctx), "reason", "too many requests from this address")

	return nil, status.Error(codes.ResourceExhausted, "too many requests from this address: try again later")
}

func (l *limiter) allowed(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	bucket, known := l.from[from]
	if !known {
		if len(l.from) >= maxAddresses {
			clear(l.from) // all start anew, which harms nobody
		}

		bucket = rate.NewLimiter(requestsPerSecond, requestsAtOnce)
		l.from[from] = bucket
	}

	return bucket.Allow()
}

// address is the sender's, without the port; all whose address cannot be told share one.
func address(ctx context.Context) netip.Addr {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		if from, err := netip.ParseAddrPort(p.Addr.String()); err == nil {
			return from.Addr().Unmap()
		}
	}

	return netip.Addr{}
}
