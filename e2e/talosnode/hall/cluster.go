package hall

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/hall/workload"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// cluster is what the machines of one share.
type cluster struct {
	store *workload.Store
	known chan struct{} // closed when a control plane node has told what follows
	begun chan struct{} // closed when etcd is bootstrapped

	mu sync.Mutex
	// machines and kubernetes are its authorities.
	machines, kubernetes *pki.Authority
	// members of etcd, in the order in which they joined; the first leads.
	members []*member
	last    uint64 // of the members' IDs
	serves  bool   // the API is served
}

// member is one of etcd's.
type member struct {
	id            uint64
	name, address string
}

func newCluster() *cluster {
	return &cluster{store: workload.NewStore(), known: make(chan struct{}), begun: make(chan struct{})}
}

// learn takes the authorities from a control plane node's configuration.
func (c *cluster) learn(loaded config.Provider) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.machines != nil {
		return nil
	}

	machines, err := pki.AuthorityOf(loaded.Machine().Security().IssuingCA())
	if err != nil {
		return fmt.Errorf("machine.ca: %w", err)
	}

	kubernetes, err := pki.AuthorityOf(loaded.Cluster().IssuingCA())
	if err != nil {
		return fmt.Errorf("cluster.ca: %w", err)
	}

	c.machines, c.kubernetes = machines, kubernetes
	close(c.known)

	return nil
}

// bootstrap begins etcd with a member.
func (c *cluster) bootstrap(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.members) > 0 {
		return false
	}

	c.add(m)

	select {
	case <-c.begun:
	default:
		close(c.begun)
	}

	return true
}

// join adds a member when there are others.
func (c *cluster) join(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.members) > 0 && !slices.Contains(c.members, m) {
		c.add(m)
	}
}

// memberOf is a node's member: the one that it was before, or one that has joined nothing yet.
func (c *cluster) memberOf(name, address string) *member {
	for _, m := range c.list() {
		if m.name == name && m.address == address {
			return m
		}
	}

	return &member{name: name, address: address}
}

func (c *cluster) add(m *member) {
	c.last++
	m.id = c.last
	c.members = append(c.members, m)
}

// remove takes a member out, but not the last.
func (c *cluster) remove(id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	at := slices.IndexFunc(c.members, func(m *member) bool { return m.id == id })

	switch {
	case at < 0:
		return errors.New("etcdserver: member not found")
	case len(c.members) == 1:
		return errors.New("etcdserver: re-configuration failed due to not enough started members")
	}

	c.members = slices.Delete(c.members, at, at+1)

	return nil
}

// lead makes a member the first.
func (c *cluster) lead(id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	at := slices.IndexFunc(c.members, func(m *member) bool { return m.id == id })
	if at < 0 {
		return errors.New("etcdserver: bad leader transferee")
	}

	c.members[0], c.members[at] = c.members[at], c.members[0]

	return nil
}

func (c *cluster) list() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()

	return slices.Clone(c.members)
}

// claim is true for the one node that is to serve the cluster's API, until it gives that up.
func (c *cluster) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	was := c.serves
	c.serves = true

	return !was
}

func (c *cluster) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.serves = false
}

// serve serves the Kubernetes API at the cluster's endpoint, which has to be an address of this computer, until the context ends.
func (c *cluster) serve(ctx context.Context, loaded config.Provider) error {
	at := loaded.Cluster().Endpoint()

	pair, err := c.kubernetes.Issue(pki.Subject{Name: "kube-apiserver", Hosts: append(loaded.Cluster().CertSANs(), at.Hostname(), "127.0.0.1")})
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	own, err := pair.TLS()
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	callers := x509.NewCertPool()
	callers.AppendCertsFromPEM(c.kubernetes.PEM)

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at.Host)
	if err != nil {
		return fmt.Errorf("listen at the cluster's endpoint: %w", err)
	}

	server := &http.Server{
		Handler: workload.Handler(c.store, node.Tag(loaded.Machine().Kubelet().Image())), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: callers,
		},
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()

	if err := server.ServeTLS(listener, "", ""); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve Kubernetes API: %w", err)
	}

	return nil
}
