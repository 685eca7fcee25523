package trustd_test

import (
	"context"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/trustd"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

// TestTrustd wants a worker with the token to get a certificate that holds, and others to get none.
func TestTrustd(t *testing.T) {
	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	must(t, err)
	authority, err := pki.NewAuthority(secrets.TalosCA())
	must(t, err)
	address := talostest.Address()
	pair, err := authority.Issue(pki.Subject{Name: "cp", Hosts: []string{address}})
	must(t, err)
	own, err := pair.TLS()
	must(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(address, "50001"))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- (&trustd.Server{Authority: authority, Token: "good"}).Serve(ctx, listener, own) }()
	t.Cleanup(func() { cancel(); must(t, <-served) })

	subject := pki.Subject{Name: "worker", Hosts: []string{"worker", "192.0.2.7"}}
	got, err := trustd.Client{Authority: authority.PEM, Token: "good"}.Ask(t.Context(), []string{talostest.Address(), address}, subject)
	must(t, err)
	worker, err := got.TLS()
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	for _, host := range subject.Hosts {
		if _, err := worker.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("the certificate does not hold for %s: %v", host, err)
		}
	}

	if _, err := (trustd.Client{Authority: authority.PEM, Token: "bad"}).Ask(t.Context(), []string{address}, subject); err == nil || !strings.Contains(err.Error(), "unauthorized") {
		t.Errorf("by another token: %v", err)
	}
	if _, err := (trustd.Client{Authority: authority.PEM, Token: "good"}).Ask(t.Context(), nil, subject); err == nil {
		t.Error("without a control plane node")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
