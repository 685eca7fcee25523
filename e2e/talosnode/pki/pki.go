// Package pki issues the certificates that a node needs, by the authorities in its configuration.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	talosx509 "github.com/siderolabs/crypto/x509"
)

const (
	// life is that of certificates: they are made again at each start.
	life = 365 * 24 * time.Hour
	// clockSkew is how much later than others a node's clock may be.
	clockSkew = time.Hour

	serialBits = 128
)

// Authority signs certificates.
type Authority struct {
	// PEM is its certificate.
	PEM []byte

	certificate *x509.Certificate
	key         crypto.Signer
}

// NewAuthority reads a certificate and its key, in PEM.
func NewAuthority(certificate, key []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}

	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("read authority: its key cannot sign")
	}

	return &Authority{PEM: certificate, certificate: pair.Leaf, key: signer}, nil
}

// AuthorityOf is the one that a configuration has, which may have none.
func AuthorityOf(pair *talosx509.PEMEncodedCertificateAndKey) (*Authority, error) {
	if pair == nil {
		return nil, errors.New("read authority: the configuration has none")
	}

	return NewAuthority(pair.Crt, pair.Key)
}

// Subject is whom a certificate is for.
type Subject struct {
	Name          string
	Organizations []string
	// Hosts are names and addresses that it serves at.
	Hosts []string
	// Client tells that it is for calling others, too. Without hosts it is for nothing else.
	Client bool
}

// Pair is a certificate with its key, in PEM.
type Pair struct{ Certificate, Key []byte }

// TLS is the pair as Go's TLS takes it.
func (p Pair) TLS() (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return pair, fmt.Errorf("use certificate: %w", err)
	}

	return pair, nil
}

// Write puts the pair into NAME.crt and NAME.key of a folder.
func (p Pair) Write(folder, name string) error {
	err := os.WriteFile(filepath.Join(folder, name+".crt"), p.Certificate, 0o600)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".key"), p.Key, 0o600)
	}

	if err != nil {
		return fmt.Errorf("write certificate %s: %w", name, err)
	}

	return nil
}

// Issue makes a key and its certificate.
func (a *Authority) Issue(s Subject) (Pair, error) {
	key, text, err := NewKey()
	if err != nil {
		return Pair{}, err
	}

	certificate, err := a.sign(s, key.Public())
	if err != nil {
		return Pair{}, err
	}

	return Pair{Certificate: certificate, Key: text}, nil
}

// Sign answers a request for a certificate of a server, in PEM.
func (a *Authority) Sign(request []byte) ([]byte, error) {
	block, _ := pem.Decode(request)
	if block == nil {
		return nil, errors.New("read certificate request: it is no PEM")
	}

	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}

	if err := asked.CheckSignature(); err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}

	hosts := asked.DNSNames
	for _, address := range asked.IPAddresses {
		hosts = append(hosts, address.String())
	}

	return a.sign(Subject{Name: asked.Subject.CommonName, Hosts: hosts}, asked.PublicKey)
}

func (a *Authority) sign(s Subject, public crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}

	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.Name, Organization: s.Organizations},
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	template.DNSNames, template.IPAddresses = sorts(s.Hosts)

	if len(s.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}

	if s.Client || len(s.Hosts) == 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}

	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", s.Name, err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// NewKey makes a key, and its PEM.
func NewKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}

	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("write key: %w", err)
	}

	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// Request makes a key and a request for a certificate of its, both in PEM.
func Request(s Subject) (request, key []byte, err error) {
	signer, key, err := NewKey()
	if err != nil {
		return nil, nil, err
	}

	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: s.Name, Organization: s.Organizations}}
	template.DNSNames, template.IPAddresses = sorts(s.Hosts)

	der, err := x509.CreateCertificateRequest(rand.Reader, template, signer)
	if err != nil {
		return nil, nil, fmt.Errorf("request certificate of %s: %w", s.Name, err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key, nil
}

// sorts tells names from addresses.
func sorts(hosts []string) (names []string, addresses []net.IP) {
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			addresses = append(addresses, address)
		} else if host != "" {
			names = append(names, host)
		}
	}

	return names, addresses
}
