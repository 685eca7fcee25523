package talostest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// serving is TLS of a node: its certificate is of the cluster's authority, and so must be that of who calls.
func serving(authority, key []byte, address string) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(authority, key)
	if err != nil {
		return nil, fmt.Errorf("use authority: %w", err)
	}

	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: address},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(address)},
	}

	certificate, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, public, pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}

	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)

	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: private}},
	}, nil
}

// joined refuses what only a member of etcd can do.
func (n *Node) joined() error {
	if n.member == 0 || n.starting {
		return status.Error(codes.FailedPrecondition, "etcd service is not running") //nolint:wrapcheck // it is the answer
	}

	return nil
}

// tag is what is behind the last colon of an image's name.
func tag(image string) string {
	_, after, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")

	return after
}
