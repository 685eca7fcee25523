package registration

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

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

	// callsAtOnce are answered at a time. Each asks the API for one thing at a time, which has as many seats for the appliance's own.
	callsAtOnce = 16

	// requestsPerSecond and requestsAtOnce are what one address may ask for. A machine that waits asks for orders every 50
	// seconds and tells its facts every five minutes, and one that wipes its disks reports every ten seconds: this is enough for
	// two thousand that wait behind one NAT, which is as many as may be connected.
	requestsPerSecond = 100
	requestsAtOnce    = 500
)

// writesPerSecond and writesAtOnce are how many calls may change one Server, whoever makes them and from however many addresses.
const (
	writesPerSecond = 2
	writesAtOnce    = 100
)

// Server answers machines: gRPC as an http.Handler.
type Server struct {
	grpc    *grpc.Server
	methods methods
	limiter *limiter[netip.Addr]
	config  Config
}

// NewServer makes the server of the service, and of more. One machine can neither crash it nor keep it busy for all others.
func NewServer(service *Service, more ...Offer) *Server {
	config, offers := service.config, append(service.offers(), more...)
	known := methodsOf(offers)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.StatsHandler(calls{config, known}),
		grpc.ChainUnaryInterceptor(recovering(config.Logger), bounded()),
	)
	for _, one := range offers {
		server.RegisterService(description(one.Description), one.Service)
	}

	return &Server{grpc: server, methods: known, limiter: newLimiter[netip.Addr](requestsPerSecond, requestsAtOnce), config: config}
}

// ServeHTTP implements http.Handler. What needs no decoding is refused here, before grpc decodes the request, which it
// does before it asks any interceptor.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !s.limiter.allowed(addressOf(r.RemoteAddr)):
		s.refuse(w, r, status.New(codes.ResourceExhausted, "too many requests from this address: try again later"))
	case s.methods.of(r.URL.Path) == UnknownMethod:
		s.refuse(w, r, status.New(codes.Unimplemented, "this appliance has no such method"))
	default:
		s.grpc.ServeHTTP(w, r)
	}
}

// refuse answers without a body, with the status in the header: gRPC over HTTP/2, "Trailers-Only".
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, refusal *status.Status) {
	method := s.methods.of(r.URL.Path)
	s.config.refused(r.RemoteAddr, method, refusal.Err())
	s.config.observe(method, refusal.Code())
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(int(refusal.Code())))
	w.Header().Set("Grpc-Message", refusal.Message())
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

// bounded ends calls that take too long, but for one that is meant to: it bounds its own work. The others are answered some at a
// time, in the order in which they came: of a thousand at once none would be done before its time is over, and all of it again then.
func bounded() grpc.UnaryServerInterceptor {
	turns := make(chan struct{}, callsAtOnce)

	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if info.FullMethod == api.Orders_Wait_FullMethodName {
			return handle(ctx, request)
		}

		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err() // nobody waits for the answer any more
		}

		defer func() { <-turns }()

		ctx, cancel := answering(ctx)
		defer cancel()

		return handle(ctx, request)
	}
}

// answering bounds the work for a request, and ends it not because the machine hangs up: half of an answer's writes are worse than all of
// them, and the API server calls a request that is dropped an error.
func answering(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), answersWithin)
}
