package machineapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Port is where the API is served.
const Port = 50000

// Errors of a Machine, which callers are told by the codes that Talos has for them.
var (
	// ErrNotControlPlane is for what only a control plane node does.
	ErrNotControlPlane = errors.New("it can only be done on a control plane node")
	// ErrBootstrapped is for a second bootstrap.
	ErrBootstrapped = errors.New("etcd data directory is not empty")
	// ErrNoEtcd is for a node that is no member.
	ErrNoEtcd = errors.New("etcd service is not running")
)

// Etcd is what of etcd's client the API needs.
type Etcd interface {
	MemberList(ctx context.Context, options ...clientv3.OpOption) (*clientv3.MemberListResponse, error)
	MemberRemove(ctx context.Context, id uint64) (*clientv3.MemberRemoveResponse, error)
	Status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error)
	MoveLeader(ctx context.Context, to uint64) (*clientv3.MoveLeaderResponse, error)
	AlarmList(ctx context.Context) (*clientv3.AlarmResponse, error)
}

// Machine is what the API is about.
type Machine interface {
	Hostname() string
	// Release of Talos that it runs.
	Release() string
	Booted() time.Time
	Services() []*machine.ServiceInfo
	// Configuration that it runs by.
	Configuration() ([]byte, error)
	// Owns tells whether an address or a name is the node's.
	Owns(name string) bool

	Bootstrap() error
	// Etcd is a client of the node's own member, and the member's ID.
	Etcd() (Etcd, uint64, error)
	LeaveEtcd(ctx context.Context) error
	Kubeconfig() ([]byte, error)

	// What follows returns before it happens.
	Reboot()
	Shutdown()
	Reset(r *machine.ResetRequest) error
	Upgrade(image string) error
	Apply(configuration []byte) error
}

// Security is what both sides prove themselves by.
type Security struct {
	Certificate tls.Certificate
	// Authorities of callers, in PEM.
	Authorities [][]byte
}

// Serve answers until the context ends; calls that run then may end.
func Serve(ctx context.Context, listener net.Listener, security Security, of Machine) error {
	roots := x509.NewCertPool()
	for _, authority := range security.Authorities {
		roots.AppendCertsFromPEM(authority)
	}

	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
			Certificates: []tls.Certificate{security.Certificate},
		})),
		grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := allowed(ctx, info.FullMethod, of); err != nil {
				return nil, err
			}

			answer, err := handle(ctx, request)

			return answer, coded(err)
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := allowed(stream.Context(), info.FullMethod, of); err != nil {
				return err
			}

			return coded(handle(service, stream))
		}),
	)
	machine.RegisterMachineServiceServer(server, &service{of: of})
	cosi.RegisterStateServer(server, &resources{of: of})

	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		stop(server)
		close(ended)
	})

	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve machine API: %w", err)
	}

	<-ended // who has asked for the end is to have an answer

	return nil
}

// endsWithin bounds how long calls may go on when the API ends.
const endsWithin = 2 * time.Second

func stop(server *grpc.Server) {
	defer time.AfterFunc(endsWithin, server.Stop).Stop()

	server.GracefulStop()
}

// coded gives an error its code.
func coded(err error) error {
	if err == nil {
		return nil
	}

	if _, ok := status.FromError(err); ok {
		return err
	}

	code := codes.Unknown

	switch {
	case errors.Is(err, ErrBootstrapped):
		code = codes.AlreadyExists
	case errors.Is(err, ErrNotControlPlane), errors.Is(err, ErrNoEtcd):
		code = codes.FailedPrecondition
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	}

	return status.Error(code, err.Error())
}
