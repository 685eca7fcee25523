package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// Config is what a control plane is made of.
type Config struct {
	// Folder of its certificates.
	Folder string
	// Node is the node's name.
	Node    string
	Address netip.Addr
	Cluster config.ClusterConfig
	// EtcdReady waits until the node's etcd serves.
	EtcdReady func(context.Context) error
	Log       *slog.Logger
}

// ControlPlane is one. Make it with New.
type ControlPlane struct {
	Config

	authority *pki.Authority
	admin     *rest.Config
}

// Names of files.
const (
	kubernetesCA = "ca"
	aggregatorCA = "aggregator"
	etcdCA       = "etcd"
	servingName  = "apiserver"
	etcdClient   = "apiserver-etcd-client"
	proxyClient  = "apiserver-proxy-client"
	accounts     = "service-account.key"
)

// New writes the files of a control plane.
func New(c Config) (*ControlPlane, error) {
	p := &ControlPlane{Config: c}
	if err := p.prepare(); err != nil {
		return nil, fmt.Errorf("prepare control plane: %w", err)
	}

	return p, nil
}

func (p *ControlPlane) file(name string) string { return filepath.Join(p.Folder, name) }

func (p *ControlPlane) prepare() (err error) {
	if err := os.MkdirAll(p.Folder, 0o700); err != nil {
		return err //nolint:wrapcheck // the caller does
	}

	own := p.Cluster.IssuingCA()
	if p.authority, err = pki.AuthorityOf(own); err != nil {
		return fmt.Errorf("cluster.ca: %w", err)
	}

	aggregation, err := pki.AuthorityOf(p.Cluster.AggregatorCA())
	if err != nil {
		return fmt.Errorf("cluster.aggregatorCA: %w", err)
	}

	storage, err := pki.AuthorityOf(p.Cluster.Etcd().CA())
	if err != nil {
		return fmt.Errorf("cluster.etcd.ca: %w", err)
	}

	if p.Cluster.ServiceAccount() == nil {
		return errors.New("cluster.serviceAccount: the configuration has none")
	}

	for _, of := range []struct {
		authority *pki.Authority
		file      string
		subject   pki.Subject
	}{
		{p.authority, servingName, pki.Subject{Name: "kube-apiserver", Hosts: p.hosts()}},
		{storage, etcdClient, pki.Subject{Name: "kube-apiserver"}},
		{aggregation, proxyClient, pki.Subject{Name: "front-proxy-client"}},
	} {
		pair, err := of.authority.Issue(of.subject)
		if err == nil {
			err = pair.Write(p.Folder, of.file)
		}

		if err != nil {
			return err //nolint:wrapcheck // it says what it is
		}
	}

	for name, text := range map[string][]byte{
		kubernetesCA + ".crt": own.Crt, kubernetesCA + ".key": own.Key, aggregatorCA + ".crt": aggregation.PEM, etcdCA + ".crt": storage.PEM,
		accounts: p.Cluster.ServiceAccount().Key,
	} {
		if err := os.WriteFile(p.file(name), text, 0o600); err != nil {
			return err //nolint:wrapcheck // the caller does
		}
	}

	p.admin, err = p.as("talos:admin", "system:masters")

	return err
}

// hosts are what the API server is called by.
func (p *ControlPlane) hosts() []string {
	hosts := []string{
		"localhost", "127.0.0.1", p.Node, p.Address.String(), p.Cluster.Endpoint().Hostname(),
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + p.Cluster.Network().DNSDomain(),
	}

	if services, err := p.Cluster.Network().APIServerIPs(); err == nil {
		for _, address := range services {
			hosts = append(hosts, address.String())
		}
	}

	for _, host := range p.Cluster.CertSANs() {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}

	return hosts
}

// Authority is the cluster's.
func (p *ControlPlane) Authority() *pki.Authority { return p.authority }

// LocalURL is where the node's own API server is.
func (p *ControlPlane) LocalURL() string {
	return "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Cluster.LocalAPIServerPort()))
}

// as is a client's configuration with a certificate of the cluster's authority.
func (p *ControlPlane) as(user string, groups ...string) (*rest.Config, error) {
	pair, err := p.authority.Issue(pki.Subject{Name: user, Organizations: groups})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it is
	}

	return &rest.Config{
		Host: p.LocalURL(), Timeout: time.Minute,
		TLSClientConfig: rest.TLSClientConfig{CAData: p.authority.PEM, CertData: pair.Certificate, KeyData: pair.Key},
	}, nil
}

// Admin is a configuration of an administrator, for an API server's URL.
func (p *ControlPlane) Admin(url string) *rest.Config {
	c := rest.CopyConfig(p.admin)
	c.Host = url

	return c
}

// Ready tells whether the node's API server serves.
func (p *ControlPlane) Ready(ctx context.Context) bool {
	client, err := kubernetes.NewForConfig(p.admin)
	if err != nil {
		return false
	}

	_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)

	return err == nil
}

// pause between tries.
const pause = time.Second

// Run is the control plane's life. It waits for etcd.
func (p *ControlPlane) Run(ctx context.Context) error {
	if err := p.EtcdReady(ctx); err != nil {
		return nil //nolint:nilerr // the context has ended
	}

	p.Log.Info("starts the Kubernetes API server", "address", p.Address)

	go p.follow(ctx)

	return p.serve(ctx)
}

// follow does what comes after the API server: the cluster's first objects, and the controllers for as long as the node is theirs.
func (p *ControlPlane) follow(ctx context.Context) {
	for !p.Ready(ctx) {
		if !wait(ctx) {
			return
		}
	}

	p.Log.Info("the Kubernetes API server is ready")

	for {
		err := p.seed(ctx)
		if err == nil {
			break
		}

		p.Log.Warn("the cluster's first objects could not be made yet", "error", err)

		if !wait(ctx) {
			return
		}
	}

	for {
		if err := p.manage(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("controllers have ended", "error", err)
		}

		if !wait(ctx) {
			return
		}
	}
}

func wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
