package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/machineapi"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/trustd"
)

const (
	// asksAgain is the pause after others could not answer, and asksWithin bounds what they are asked.
	asksAgain  = time.Second
	asksWithin = 30 * time.Second
)

func listen(ctx context.Context, port int) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}

	return listener, nil
}

// subject is what the node's own certificate is about.
func (r *running) subject() pki.Subject {
	return pki.Subject{Name: r.name, Hosts: append(r.names(), r.loaded.Machine().Security().CertSANs()...)}
}

// serveAPI serves the machine API as soon as there is a certificate for it.
func (r *running) serveAPI(ctx context.Context) error {
	pair, err := r.certificate(ctx)
	if err != nil {
		return err
	}

	own, err := pair.TLS()
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	var authorities [][]byte
	for _, accepted := range r.loaded.Machine().Security().AcceptedCAs() {
		authorities = append(authorities, accepted.Crt)
	}

	if issuing := r.loaded.Machine().Security().IssuingCA(); issuing != nil {
		authorities = append(authorities, issuing.Crt)
	}

	listener, err := listen(ctx, machineapi.Port)
	if err != nil {
		return err
	}

	r.log.Info("serves the machine API", "address", listener.Addr())

	return machineapi.Serve(ctx, listener, machineapi.Security{Certificate: own, Authorities: authorities}, r) //nolint:wrapcheck // it says what it is
}

// serveTrustd gives workers their certificates.
func (r *running) serveTrustd(ctx context.Context) error {
	pair, err := r.machines.Issue(r.subject())
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	own, err := pair.TLS()
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	listener, err := listen(ctx, trustd.Port)
	if err != nil {
		return err
	}

	server := &trustd.Server{Authority: r.machines, Token: r.loaded.Machine().Security().Token()}

	return server.Serve(ctx, listener, own) //nolint:wrapcheck // it says what it is
}

// certificate of the machine API: control plane nodes sign their own, workers ask for theirs until they get it.
func (r *running) certificate(ctx context.Context) (pki.Pair, error) {
	if r.machines != nil {
		return r.machines.Issue(r.subject()) //nolint:wrapcheck // it says what it is
	}

	security := r.loaded.Machine().Security()

	authority := security.IssuingCA()
	if authority == nil {
		return pki.Pair{}, errors.New("ask for certificate: the configuration has no machine.ca")
	}

	for {
		pair, err := r.ask(ctx, trustd.Client{Authority: authority.Crt, Token: security.Token()})
		if err == nil {
			return pair, nil
		}

		r.log.Debug("has no certificate of its machine API yet", "error", err)

		select {
		case <-ctx.Done():
			return pki.Pair{}, ctx.Err() //nolint:wrapcheck // the caller's own
		case <-time.After(asksAgain):
		}
	}
}

func (r *running) ask(ctx context.Context, client trustd.Client) (pki.Pair, error) {
	ctx, cancel := context.WithTimeout(ctx, asksWithin)
	defer cancel()

	peers, err := r.peers(ctx)
	if err != nil {
		return pki.Pair{}, err
	}

	return client.Ask(ctx, peers, r.subject()) //nolint:wrapcheck // it says what it is
}

// peers are the control plane nodes' addresses, which the cluster's API servers tell: Talos has this way beside its discovery service.
func (r *running) peers(ctx context.Context) ([]string, error) {
	client := r.kubelet.Client()

	if r.control != nil {
		own, err := kubernetes.NewForConfig(r.control.Admin(r.loaded.Cluster().Endpoint().String()))
		if err != nil {
			return nil, fmt.Errorf("make client: %w", err)
		}

		client = own
	}

	if client == nil {
		return nil, errors.New("kubelet has no certificate yet")
	}

	known, err := client.CoreV1().Endpoints(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{}) //nolint:staticcheck // kubelets may read no slices
	if err != nil {
		return nil, fmt.Errorf("find control plane nodes: %w", err)
	}

	var addresses []string

	for _, subset := range known.Subsets {
		for _, address := range subset.Addresses {
			addresses = append(addresses, address.IP)
		}
	}

	return addresses, nil
}
