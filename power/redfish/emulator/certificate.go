package emulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// RenewCertificate makes a new self-signed certificate, as a factory reset does, and closes all connections.
func (s *Server) RenewCertificate() error {
	key, err := s.generateKey()
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return fmt.Errorf("make serial number: %w", err)
	}
	// No name and long over: BMCs' own certificates are like that.
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "bmc"},
		NotBefore:    time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	s.mu.Lock()
	s.certificate = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s.mu.Unlock()
	s.Disconnect()
	return nil
}

func (s *Server) generateKey() (crypto.Signer, error) {
	if s.config.LegacyTLS {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (s *Server) tlsConfig() *tls.Config {
	config := &tls.Config{GetCertificate: s.currentCertificate, NextProtos: []string{"http/1.1"}}
	if s.config.LegacyTLS {
		config.MaxVersion = tls.VersionTLS12
		config.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_256_GCM_SHA384}
	}
	return config
}

// Fingerprint is the certificate's SHA-256, in hexadecimal.
func (s *Server) Fingerprint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(s.certificate.Certificate[0])
	return hex.EncodeToString(sum[:])
}

func (s *Server) currentCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certificate, nil
}
