// Package apitest runs a real etcd and a real API server for the tests of other packages.
package apitest

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/storage"
)

// Plane is a control plane.
type Plane struct {
	Etcd      *storage.Etcd
	Server    *apiserver.Server
	Address   netip.AddrPort
	Authority *pki.Authority
	// Admin is the client configuration of the admin kubeconfig, whose path is Kubeconfig.
	Admin      *rest.Config
	Kubeconfig string
}

// Start runs a control plane on an empty directory until the test ends. Its API server's configuration can be changed before.
func Start(t testing.TB, change ...func(*apiserver.Config)) *Plane {
	t.Helper()

	return StartIn(t, t.TempDir(), change...)
}

// StartIn runs a control plane on a data directory until the test ends.
func StartIn(t testing.TB, dir string, change ...func(*apiserver.Config)) *Plane {
	t.Helper()

	p, err := New(dir, change...)
	if err != nil {
		t.Fatal(err)
	}

	Run(t, p.Etcd)
	Run(t, p.Server)

	return p
}

// New makes a control plane on a data directory. Its parts run when they are told to: etcd first.
func New(dir string, change ...func(*apiserver.Config)) (*Plane, error) {
	etcd, err := storage.New(storage.Config{Dir: filepath.Join(dir, "etcd"), Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	p := &Plane{
		Etcd:       etcd,
		Address:    netip.MustParseAddrPort(listener.Addr().String()),
		Kubeconfig: filepath.Join(dir, "admin.kubeconfig"),
	}

	if err := p.secure(filepath.Join(dir, "pki")); err != nil {
		return nil, err
	}

	loopback, err := p.Authority.ClientConfig(p.Address, pki.Owner)
	if err != nil {
		return nil, err
	}

	config := apiserver.Config{
		Listener:         listener.(*net.TCPListener), //nolint:errcheck,forcetypeassert // of net.Listen("tcp")
		AdvertiseAddress: p.Address.Addr(),
		EtcdServers:      etcd.Endpoint().Servers,
		Authority:        p.Authority,
		Loopback:         loopback,
	}
	for _, c := range change {
		c(&config)
	}

	p.Server, err = apiserver.New(config)

	return p, err
}

// Client is the client configuration of a user.
func (p *Plane) Client(t testing.TB, u user.DefaultInfo) *rest.Config {
	t.Helper()

	config, err := p.Authority.ClientConfig(p.Address, u)
	if err != nil {
		t.Fatal(err)
	}

	return config
}

func (p *Plane) secure(dir string) error {
	var err error
	if p.Authority, err = pki.Open(dir); err != nil {
		return err
	}

	if _, err := p.Authority.EnsureServing([]netip.Addr{p.Address.Addr()}); err != nil {
		return err
	}

	if err := p.Authority.WriteAdminKubeconfig(p.Kubeconfig, p.Address); err != nil {
		return err
	}

	p.Admin, err = Config(p.Kubeconfig)

	return err
}

// Config is the client configuration of a kubeconfig, without a limit to the rate of requests.
func Config(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}

	config.QPS = -1

	return config, nil
}
