package registration

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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

// Server answers machines: gRPC as an http.Handler.
type Server struct {
	grpc    *grpc.Server
	limiter *limiter
	config  Config
}

// NewServer makes the server of the service. One machine can neither crash it nor keep it busy for all others.
func NewServer(service *Service) *Server {
	config := service.config
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.StatsHandler(calls{config}),
		grpc.ChainUnaryInterceptor(markHandled, recovering(config.Logger), bounded),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return status.Error(codes.Unimplemented, "this appliance has no such method")
		}),
	)
	api.RegisterAgentServer(server, service)

	return &Server{grpc: server, limiter: newLimiter(), config: config}
}

// ServeHTTP implements http.Handler. The limit is here because grpc decodes a request before it asks any interceptor.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.limiter.allowed(addressOf(r.RemoteAddr)) {
		s.grpc.ServeHTTP(w, r)

		return
	}

	s.config.observe(UnknownMethod, codes.ResourceExhausted)
	s.config.Logger.Debug("registration request refused", "remote", r.RemoteAddr, "reason", "too many requests from this address")
	// A response without a body, with its status in the header: gRPC over HTTP/2, "Trailers-Only".
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(int(codes.ResourceExhausted)))
	w.Header().Set("Grpc-Message", "too many requests from this address: try again later")
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
	mu   sync.Mutex
	from map[netip.Addr]*rate.Limiter
}

func newLimiter() *limiter { return &limiter{from: map[netip.Addr]*rate.Limiter{}} }

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

// address is the sender's, without the port.
func address(ctx context.Context) netip.Addr { return addressOf(remote(ctx)) }

// addressOf leaves the port out; all whose address cannot be told share one.
func addressOf(remote string) netip.Addr {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}

	return from.Addr().Unmap()
}
