package machineconfig

import (
	stdx509 "crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"go.yaml.in/yaml/v4"
)

// lifeLeft is the part of a certificate's life at whose beginning it is renewed: a third, as Kubernetes's kubelets do.
const lifeLeft = 3

// skew is how far the clock of a machine may be behind: certificates are valid from that long ago. A client's that is made for one call
// would else be refused as expired, by a node whose clock is a second late.
const skew = time.Hour

// Client is whom talosctl reaches the nodes of a cluster as.
type Client struct {
	Cluster string
	// Endpoints are addresses of control plane nodes.
	Endpoints []string
}

// ClientConfig makes a configuration for talosctl with a certificate of an administrator.
func (s *Secrets) ClientConfig(client Client, now time.Time) ([]byte, error) {
	bundle := *s.bundle
	bundle.Clock = secrets.NewFixedClock(now.Add(-skew))

	certificate, err := bundle.GenerateTalosAPIClientCertificate(role.MakeSet(role.Admin))
	if err != nil {
		return nil, fmt.Errorf("make client certificate: %w", discreet(err))
	}

	text, err := yaml.Marshal(clientconfig.NewConfig(client.Cluster, client.Endpoints, bundle.Certs.OS.Crt, certificate))
	if err != nil {
		return nil, fmt.Errorf("write client configuration: %w", discreet(err))
	}

	return text, nil
}

// Renewal tells when a configuration for talosctl must be made again. It is the zero time when it must be now: it is of other
// nodes or of another cluster, cannot be read, or its certificate has less than a third of its life left.
func Renewal(configuration []byte, client Client, now time.Time) time.Time {
	var read clientconfig.Config
	if err := yaml.Unmarshal(configuration, &read); err != nil {
		return time.Time{}
	}

	context := read.Contexts[client.Cluster]
	if context == nil || read.Context != client.Cluster || !slices.Equal(context.Endpoints, client.Endpoints) {
		return time.Time{}
	}

	certificate := parse(context.Crt)
	if certificate == nil {
		return time.Time{}
	}

	due := certificate.NotAfter.Add(-certificate.NotAfter.Sub(certificate.NotBefore) / lifeLeft)
	if !now.Before(due) {
		return time.Time{}
	}

	return due
}

// parse reads a certificate, PEM in base 64. It is nil when it cannot be.
func parse(encoded string) *stdx509.Certificate {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}

	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}

	certificate, err := stdx509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}

	return certificate
}
