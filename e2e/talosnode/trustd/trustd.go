// Package trustd is how a worker gets the certificate of its machine API, as in Talos: it has the authority's certificate but not the
// key, and asks a control plane node by the token that its configuration holds. The messages are Talos's.
package trustd

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/siderolabs/talos/pkg/machinery/api/security"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// Port is where control plane nodes serve it.
const Port = 50001

const tokenKey = "token"

// Server signs for those who know the token.
type Server struct {
	security.UnimplementedSecurityServiceServer

	Authority *pki.Authority
	Token     string
}

// Serve answers until the context ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener, certificate tls.Certificate) error {
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate},
	})))
	security.RegisterSecurityServiceServer(server, s)
	defer context.AfterFunc(ctx, server.Stop)()

	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve trustd: %w", err)
	}

	return nil
}

// Certificate implements security.SecurityServiceServer.
func (s *Server) Certificate(ctx context.Context, request *security.CertificateRequest) (*security.CertificateResponse, error) {
	told, _ := metadata.FromIncomingContext(ctx)
	if token := told.Get(tokenKey); len(token) != 1 || subtle.ConstantTimeCompare([]byte(token[0]), []byte(s.Token)) != 1 {
		return nil, status.Error(codes.Unauthenticated, "unauthorized")
	}

	signed, err := s.Authority.Sign(request.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	return &security.CertificateResponse{Ca: s.Authority.PEM, Crt: signed}, nil
}

// Client asks for a certificate.
type Client struct {
	// Authority is the certificate of who signs, in PEM.
	Authority []byte
	Token     string
}

// Ask gets a certificate from the first address that gives one.
func (c Client) Ask(ctx context.Context, addresses []string, subject pki.Subject) (pki.Pair, error) {
	request, key, err := pki.Request(subject)
	if err != nil {
		return pki.Pair{}, err
	}

	failed := errors.New("no control plane node is known")

	for _, address := range addresses {
		var signed []byte
		if signed, failed = c.ask(ctx, address, request); failed == nil {
			return pki.Pair{Certificate: signed, Key: key}, nil
		}
	}

	return pki.Pair{}, fmt.Errorf("ask trustd for a certificate: %w", failed)
}

func (c Client) ask(ctx context.Context, address string, request []byte) ([]byte, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.Authority) {
		return nil, errors.New("the authority is no certificate")
	}

	connection, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(address, strconv.Itoa(Port)), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots})))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}

	defer connection.Close()

	answer, err := security.NewSecurityServiceClient(connection).Certificate(
		metadata.AppendToOutgoingContext(ctx, tokenKey, c.Token), &security.CertificateRequest{Csr: request})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}

	return answer.GetCrt(), nil
}
