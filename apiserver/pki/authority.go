package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
)

// Names of the API server besides its addresses: what clients in the process and those that follow a port forward use.
var servingNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}

// Authority is the appliance's certificate authority and the directory that its certificates are kept in.
type Authority struct {
	dir  string
	pair *Pair
	now  func() time.Time
}

// Open loads the authority of a directory and makes what is missing in it: the authority itself and the key that signs
// service account tokens.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}

	a, err := Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		a = &Authority{dir: dir, now: time.Now}
		a.pair, err = a.create()
	}

	if err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}

	return a, a.ensureTokenKey()
}

// Load loads the authority of a directory and makes nothing. It returns fs.ErrNotExist when there is none.
func Load(dir string) (*Authority, error) {
	a := &Authority{dir: dir, now: time.Now}

	pair, err := load(a.base("ca"))
	if err != nil {
		return nil, err
	}

	a.pair = pair

	return a, nil
}

func (a *Authority) base(name string) string { return filepath.Join(a.dir, name) }

func (a *Authority) create() (*Pair, error) {
	pair, err := issue(authorityTemplate(a.now()), nil)
	if err != nil {
		return nil, err
	}

	return pair, pair.save(a.base("ca"))
}

func (a *Authority) ensureTokenKey() error {
	_, err := loadKey(a.TokenKeyFile())
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	pair, err := issue(leafTemplate(pkix.Name{CommonName: "tokens"}, a.now(), x509.ExtKeyUsageClientAuth), a.pair)
	if err != nil {
		return err
	}

	key, err := pair.KeyPEM()
	if err != nil {
		return err
	}

	return WriteFile(a.TokenKeyFile(), key)
}

// File is the path of the authority's certificate.
func (a *Authority) File() string { return a.base("ca.crt") }

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return a.pair.CertificatePEM() }

// TokenKeyFile is the path of the key that signs service account tokens.
func (a *Authority) TokenKeyFile() string { return a.base("service-account.key") }

// EncryptionFile is the path of the keys that Secrets are encrypted with in the database.
func (a *Authority) EncryptionFile() string { return a.base("encryption.yaml") }

// ServingFiles are the paths of the API server's certificate and key, which EnsureServing writes.
func (a *Authority) ServingFiles() (certificate, key string) {
	return a.base("apiserver.crt"), a.base("apiserver.key")
}

// EnsureServing makes a serving certificate for the addresses, unless the one there still fits: same addresses and names,
// signed by this authority, and less than two thirds of its life gone. It reports whether it wrote one; the API server reloads
// the files by itself.
func (a *Authority) EnsureServing(addresses []netip.Addr) (bool, error) {
	have, err := load(a.base("apiserver"))
	if err == nil && a.fits(have.Certificate, addresses) {
		return false, nil
	}

	template := leafTemplate(pkix.Name{CommonName: "kube-apiserver"}, a.now(), x509.ExtKeyUsageServerAuth)
	template.DNSNames = servingNames

	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, address.AsSlice())
	}

	pair, err := issue(template, a.pair)
	if err != nil {
		return false, err
	}

	return true, pair.save(a.base("apiserver"))
}

func (a *Authority) fits(certificate *x509.Certificate, addresses []netip.Addr) bool {
	named := make([]netip.Addr, 0, len(certificate.IPAddresses))

	for _, ip := range certificate.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			named = append(named, address.Unmap())
		}
	}

	want := slices.Clone(addresses)
	slices.SortFunc(named, netip.Addr.Compare)
	slices.SortFunc(want, netip.Addr.Compare)

	return slices.Equal(named, want) && slices.Equal(certificate.DNSNames, servingNames) && a.valid(certificate)
}

// valid tells whether a certificate is signed by this authority and need not be renewed yet.
func (a *Authority) valid(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.AuthorityKeyId, a.pair.Certificate.SubjectKeyId) &&
		certificate.CheckSignatureFrom(a.pair.Certificate) == nil && !due(certificate, a.now())
}

// EnsureClient returns the client certificate of a user of the API, kept under the user's name, and renews it when two
// thirds of its life are over.
func (a *Authority) EnsureClient(u user.DefaultInfo) (*Pair, error) {
	base := a.clientBase(u)
	subject := pkix.Name{CommonName: u.Name, Organization: u.Groups}

	have, err := load(base)
	if err == nil && have.Certificate.Subject.String() == subject.String() && a.valid(have.Certificate) {
		return have, nil
	}

	pair, err := issue(leafTemplate(subject, a.now(), x509.ExtKeyUsageClientAuth), a.pair)
	if err != nil {
		return nil, fmt.Errorf("issue client certificate for %s: %w", u.Name, err)
	}

	return pair, pair.save(base)
}

func (a *Authority) clientBase(u user.DefaultInfo) string {
	return a.base("client-" + strings.NewReplacer(":", "-", "/", "-").Replace(u.Name))
}
