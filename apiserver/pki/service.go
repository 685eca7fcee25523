package pki

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"sync"
	"time"
)

// serviceLife is how long a certificate that lives in memory is valid: no longer than it takes to be renewed by whoever
// connects.
const serviceLife = 24 * time.Hour

// ServiceCertificate returns what makes and renews the certificate of a service that runs in this process. Its key is never
// written anywhere.
func (a *Authority) ServiceCertificate(names ...string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var (
		mutex sync.Mutex
		pair  *Pair
	)

	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mutex.Lock()
		defer mutex.Unlock()

		if pair == nil || due(pair.Certificate, a.now()) {
			fresh, err := a.issueService(names)
			if err != nil {
				return nil, err
			}

			pair = fresh
		}

		return &tls.Certificate{Certificate: [][]byte{pair.Certificate.Raw}, PrivateKey: pair.Key, Leaf: pair.Certificate}, nil
	}
}

func (a *Authority) issueService(names []string) (*Pair, error) {
	template := leafTemplate(pkix.Name{CommonName: names[0]}, a.now(), x509.ExtKeyUsageServerAuth)
	template.DNSNames = names
	template.NotAfter = a.now().Add(serviceLife)

	pair, err := issue(template, a.pair)
	if err != nil {
		return nil, fmt.Errorf("issue certificate of service %s: %w", names[0], err)
	}

	return pair, nil
}
