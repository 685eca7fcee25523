package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "EC PRIVATE KEY"

	// clockSkew is how far a machine's clock may be behind ours and still accept a new certificate.
	clockSkew = time.Hour
)

// Pair is a certificate and its private key.
type Pair struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// issue signs template with the issuer, or with its own key when issuer is nil.
func issue(template *x509.Certificate, issuer *Pair) (*Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}

	// RFC 5280 section 4.1.2.2 wants serial numbers positive, unique and at most 20 octets long.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("generate serial number: %w", err)
	}

	template.SerialNumber = serial

	signer := &Pair{Certificate: template, Key: key}
	if issuer != nil {
		signer = issuer
	}

	der, err := x509.CreateCertificate(rand.Reader, template, signer.Certificate, key.Public(), signer.Key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}

	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}

	return &Pair{Certificate: certificate, Key: key}, nil
}

func authorityTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "sidero-appliance"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(10, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
}

func leafTemplate(subject pkix.Name, now time.Time, usage x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		Subject:     subject,
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

// due tells whether two thirds of a certificate's life are over.
func due(certificate *x509.Certificate, now time.Time) bool {
	life := certificate.NotAfter.Sub(certificate.NotBefore)

	return now.After(certificate.NotBefore.Add(life * 2 / 3))
}

// CertificatePEM is the certificate in PEM.
func (p *Pair) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: p.Certificate.Raw})
}

// KeyPEM is the private key in PEM.
func (p *Pair) KeyPEM() ([]byte, error) { return keyPEM(p.Key) }

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("marshal key: %w", err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// load reads a pair. It returns fs.ErrNotExist when the certificate is missing, whether or not the key is there: the
// key is written first, so that a certificate without its key is never the work of a crash.
func load(base string) (*Pair, error) {
	certificatePEM, err := os.ReadFile(base + ".crt")
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}

	block, _ := pem.Decode(certificatePEM)
	if block == nil || block.Type != certificateBlock {
		return nil, fmt.Errorf("read certificate %s.crt: it holds no PEM certificate", base)
	}

	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %s.crt: %w", base, err)
	}

	key, err := loadKey(base + ".key")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read key %s.key: it is missing beside its certificate; restore it from a backup", base)
	}

	if err != nil {
		return nil, err
	}

	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("%w: %s.crt and %s.key", errMismatch, base, base)
	}

	return &Pair{Certificate: certificate, Key: key}, nil
}

var errMismatch = errors.New("certificate and key do not belong together")

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	keyPEM, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}

	block, _ := pem.Decode(keyPEM)
	if block == nil || block.Type != keyBlock {
		return nil, fmt.Errorf("read key %s: it holds no PEM key", path)
	}

	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse key %s: %w", path, err)
	}

	return key, nil
}

func (p *Pair) save(base string) error {
	key, err := p.KeyPEM()
	if err != nil {
		return err
	}

	if err := WriteFile(base+".key", key); err != nil {
		return err
	}

	return WriteFile(base+".crt", p.CertificatePEM())
}
