package pki

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

func TestServiceCertificate(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir())
	a.now = func() time.Time { return now }

	names := []string{"one.example.svc", "two.example.svc"}
	certificate := a.ServiceCertificate(names...)

	first, err := certificate(nil)
	must(t, err)

	trusted := x509.NewCertPool()
	trusted.AddCert(a.pair.Certificate)

	for _, name := range names {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: trusted, CurrentTime: now}); err != nil {
			t.Error(err)
		}
	}

	if !slices.Equal(first.Leaf.DNSNames, names) || len(first.Leaf.IPAddresses) != 0 {
		t.Errorf("valid for %v %v", first.Leaf.DNSNames, first.Leaf.IPAddresses)
	}

	for _, c := range []struct {
		after   time.Duration
		renewed bool
	}{{time.Hour, false}, {15 * time.Hour, false}, {17 * time.Hour, true}, {30 * day, true}} {
		now = first.Leaf.NotBefore.Add(clockSkew + c.after)

		next, err := certificate(nil)
		must(t, err)

		if renewed := !next.Leaf.Equal(first.Leaf); renewed != c.renewed || now.After(next.Leaf.NotAfter) {
			t.Errorf("after %s: renewed %t, ends %s", c.after, renewed, next.Leaf.NotAfter)
		}
	}
}
