package redfish

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// CertificateError is what calls return when the BMC has another certificate than the pinned one. The password was not
// sent.
type CertificateError struct {
	// Pinned and Seen are SHA-256 fingerprints in hexadecimal.
	Pinned, Seen string
}

// Error says how to accept the new certificate.
func (e *CertificateError) Error() string {
	return fmt.Sprintf("certificate changed: fingerprint %s is pinned, the BMC shows %s: if the BMC was reset or its certificate renewed, "+
		"accept it by replacing the pinned fingerprint with the new one; if not, something else answers at its address", e.Pinned, e.Seen)
}

// parseFingerprint accepts what openssl and browsers print.
func parseFingerprint(text string) (string, error) {
	plain := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if raw, err := hex.DecodeString(plain); err != nil || len(raw) != sha256.Size && len(raw) != 0 {
		return "", errors.New("fingerprint: is not a SHA-256 in hexadecimal")
	}
	return plain, nil
}

// pin holds the fingerprint that is trusted.
type pin struct {
	tell func(string)

	mu          sync.Mutex
	fingerprint string
}

func (p *pin) get() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fingerprint
}

// verify is called in every handshake, before anything is sent over the connection.
func (p *pin) verify(state tls.ConnectionState) error {
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	seen := hex.EncodeToString(sum[:])
	p.mu.Lock()
	pinned := p.fingerprint
	if pinned == "" {
		p.fingerprint = seen
	}
	p.mu.Unlock()
	switch {
	case pinned == "" && p.tell != nil:
		p.tell(seen)
	case pinned != "" && pinned != seen:
		return &CertificateError{Pinned: pinned, Seen: seen}
	}
	return nil
}

// tlsConfig trusts by pin alone, and speaks what BMCs need and Go does not offer by itself: TLS before 1.2, for old ones, and
// RSA key exchange, beside which H3C's HDM 3.57 has nothing.
func tlsConfig(pin *pin) *tls.Config {
	config := &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection:   pin.verify,
		MinVersion:         tls.VersionTLS10,
		CipherSuites: []uint16{
			tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		},
	}
	for _, suite := range tls.CipherSuites() {
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
	return config
}
