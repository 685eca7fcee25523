package talosapi

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// Port is where nodes serve the machine API.
const Port = 50000

const (
	// connectsWithin bounds one try to connect.
	connectsWithin = 5 * time.Second
	// triesAgainWithin is the longest wait between tries: calls fail at once while one waits.
	triesAgainWithin = 2 * time.Second
)

// Dial is the Dialer of real nodes.
func Dial(configuration []byte, address string) (Node, error) {
	config, err := clientconfig.FromBytes(configuration)
	if err != nil {
		return nil, errors.New("read client configuration: it is no YAML of talosctl's configuration") // the cause would quote keys
	}

	context := config.Contexts[config.Context]
	if context == nil {
		return nil, fmt.Errorf("read client configuration: there is no context %q", config.Context)
	}

	secured, err := security(context)
	if err != nil {
		return nil, fmt.Errorf("read client configuration: %w", err)
	}

	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, strconv.Itoa(Port))
	}

	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(secured)),
		grpc.WithNoProxy(), // machines are on a network of their own
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1, MaxDelay: triesAgainWithin},
			MinConnectTimeout: connectsWithin,
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}

	return &node{
		address: address, connection: connection, api: machine.NewMachineServiceClient(connection), resources: cosi.NewStateClient(connection),
	}, nil
}

// security is TLS by the certificates of a context.
func security(context *clientconfig.Context) (*tls.Config, error) {
	var parts [3][]byte

	for i, encoded := range []string{context.CA, context.Crt, context.Key} {
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(text) == 0 {
			return nil, fmt.Errorf("its %s is missing, or not in base 64", []string{"ca", "crt", "key"}[i])
		}

		parts[i] = text
	}

	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(parts[0]) {
		return nil, errors.New("its ca is no certificate")
	}

	own, err := tls.X509KeyPair(parts[1], parts[2])
	if err != nil {
		return nil, fmt.Errorf("use its certificate: %w", err)
	}

	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{own}}, nil
}
