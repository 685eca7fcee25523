package siderolink

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"

	pb "github.com/siderolabs/siderolink/api/siderolink"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Peer is a machine's end of the tunnel.
type Peer struct {
	// Address of the machine in the tunnel, with the network's prefix length.
	Address netip.Prefix
	// Key that the machine made when it started.
	Key PublicKey
}

var (
	// ErrNotAllocated tells that no machine in use has a UUID. Talos asks again.
	ErrNotAllocated = errors.New("no server in use has this UUID")
	// ErrTaken tells that a machine's end was changed meanwhile, or that another has its address.
	ErrTaken = errors.New("changed meanwhile")
	// ErrKeyInUse tells that another machine has the key. WireGuard would take the tunnel from it.
	ErrKeyInUse = errors.New("another machine has this key")
)

// Peers keep the ends of machines.
type Peers interface {
	// Peer returns that of the machine in use with a UUID; zero if it has none yet. ErrNotAllocated if nobody has the UUID.
	Peer(ctx context.Context, uuid string) (Peer, error)
	// Keep keeps it in place of what Peer returned last. ErrTaken if that has changed, or if another machine has the address;
	// ErrKeyInUse if another has the key.
	Keep(ctx context.Context, uuid string, was, now Peer) error
}

// Provision is siderolink's ProvisionService: a machine joins with a key that it makes at each start, and has the same address
// for as long as it is in use.
type Provision struct {
	pb.UnimplementedProvisionServiceServer

	// Identity is the installation's. It fails before that is known.
	Identity func() (Identity, error)
	// Endpoint is where machines find the appliance's end of the tunnel.
	Endpoint netip.AddrPort
	Peers    Peers
	Log      *slog.Logger
}

// Register adds the service to a server.
func (p *Provision) Register(to grpc.ServiceRegistrar) { pb.RegisterProvisionServiceServer(to, p) }

// attempts are how often a join is decided anew because others wrote at the same time.
const attempts = 5

// Provision implements the call. Of its optional fields only the token is used: a machine that would rather speak WireGuard over gRPC
// is answered with the endpoint, as by Sidero.
func (p *Provision) Provision(ctx context.Context, request *pb.ProvisionRequest) (*pb.ProvisionResponse, error) {
	key, err := ParsePublicKey(request.GetNodePublicKey())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "read the machine's key: %s", err)
	}

	own, err := p.Identity()
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}

	if key == own.Key.Public() {
		return nil, status.Error(codes.InvalidArgument, "the key is the appliance's own")
	}

	var peer Peer

	for range attempts {
		if peer, err = p.join(ctx, server(request), own.Network(), key); !errors.Is(err, ErrTaken) {
			break
		}
	}

	if err != nil {
		return nil, p.refuse(request, err)
	}

	p.Log.Info("a machine joins SideroLink", "server", server(request), "tunnel", peer.Address.Addr(),
		"talos_version", request.GetTalosVersion())

	return &pb.ProvisionResponse{
		ServerEndpoint:    []string{p.Endpoint.String()},
		ServerPublicKey:   own.Key.Public().String(),
		NodeAddressPrefix: peer.Address.String(),
		ServerAddress:     own.Address().String(),
	}, nil
}

// server is the name of the one that asks: its UUID, or, where several machines have that, what their tokens say, which was in the
// address that each was told. A token of another UUID, or of another purpose, says nothing.
func server(request *pb.ProvisionRequest) string {
	if name := request.GetJoinToken(); strings.HasPrefix(strings.ToLower(name), strings.ToLower(request.GetNodeUuid())+"-") {
		return name
	}

	return request.GetNodeUuid()
}

func (p *Provision) join(ctx context.Context, uuid string, network netip.Prefix, key PublicKey) (Peer, error) {
	was, err := p.Peers.Peer(ctx, uuid)
	if err != nil {
		return Peer{}, err //nolint:wrapcheck // its words are complete
	}

	now := next(was, network, key)
	if now == was {
		return now, nil
	}

	return now, p.Peers.Keep(ctx, uuid, was, now) //nolint:wrapcheck // its words are complete
}

// next is the end of a machine that joins with a key. It keeps an address that is in the network.
func next(was Peer, network netip.Prefix, key PublicKey) Peer {
	address := was.Address
	if !address.IsValid() || !network.Contains(address.Addr()) || address.Addr() == ServerAddress(network) {
		address = NewNodeAddress(network)
	}

	return Peer{Address: netip.PrefixFrom(address.Addr(), prefixBits), Key: key}
}

func (p *Provision) refuse(request *pb.ProvisionRequest, err error) error {
	switch {
	case errors.Is(err, ErrNotAllocated):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, ErrKeyInUse):
		p.Log.Warn("a machine would join SideroLink with another's key", "server", server(request))

		return status.Error(codes.AlreadyExists, err.Error())
	default:
		p.Log.Error("a machine could not join SideroLink", "server", server(request), "error", err)

		return status.Error(codes.Unavailable, "could not be kept: ask again")
	}
}
