package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"

	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"
)

// LocalService is a Service that runs in this process. It has a certificate of the appliance's authority.
type LocalService struct {
	Namespace, Name string
	// Dial connects to it, whatever the address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// WebhookService tells where something runs that webhook configurations and CustomResourceDefinitions take for a Service.
type WebhookService struct {
	Namespace, Name string
	Port            int32
	// Address is its host and port.
	Address string
	// CA signed its certificate, in PEM, for the name <name>.<namespace>.svc. It is trusted for nothing else. When empty,
	// the caBundle beside the reference to the Service must do.
	CA []byte
}

// services knows the Services that webhooks may be reached by. None is an object here.
type services struct {
	local   map[serviceKey]LocalService
	mapped  map[serviceKey]WebhookService
	trusted []byte
}

type serviceKey struct {
	namespace, name string
	port            int32
}

var _ webhook.ServiceResolver = (*services)(nil)

// localPort is the port that a reference without one means.
const localPort = 443

func newServices(c Config) *services {
	s := &services{local: map[serviceKey]LocalService{}, mapped: map[serviceKey]WebhookService{}, trusted: c.Authority.PEM()}

	for _, l := range c.LocalServices {
		s.local[serviceKey{l.Namespace, l.Name, localPort}] = l
	}

	for _, m := range c.WebhookServices {
		s.mapped[serviceKey{m.Namespace, m.Name, m.Port}] = m
	}

	return s
}

// ResolveEndpoint implements webhook.ServiceResolver. Of the URL only the host is used. The error reaches the user.
func (s *services) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	key := serviceKey{namespace, name, port}

	if _, ok := s.local[key]; ok {
		return &url.URL{Scheme: "https", Host: key.host()}, nil
	}

	if m, ok := s.mapped[key]; ok {
		return &url.URL{Scheme: "https", Host: m.Address}, nil
	}

	return nil, fmt.Errorf("service %s/%s:%d: no Services run here: run the provider that has it as a process of its own, and add to "+
		"the appliance's configuration file where: webhookServices: [{namespace: %s, name: %s, port: %d, address: \"HOST:PORT\", caFile: /PATH/TO/CA.crt}]",
		namespace, name, port, namespace, name, port)
}

func (k serviceKey) host() string {
	return net.JoinHostPort(k.name+"."+k.namespace+".svc", strconv.Itoa(int(k.port)))
}

// authenticate is a webhook.AuthenticationInfoResolverWrapper: it adds whom to trust, and how to connect within the process.
func (s *services) authenticate(next webhook.AuthenticationInfoResolver) webhook.AuthenticationInfoResolver {
	return &webhook.AuthenticationInfoResolverDelegator{
		ClientConfigForFunc: next.ClientConfigFor,
		ClientConfigForServiceFunc: func(name, namespace string, port int) (*rest.Config, error) {
			config, err := next.ClientConfigForService(name, namespace, port)
			if err != nil {
				return nil, err
			}

			return s.configure(config, serviceKey{namespace, name, int32(port)}), nil //nolint:gosec // a port
		},
	}
}

func (s *services) configure(config *rest.Config, key serviceKey) *rest.Config {
	config = rest.CopyConfig(config)

	// To the authorities the caller appends those in the reference: it must not write into ours.
	if l, ok := s.local[key]; ok {
		config.Dial, config.CAData = l.Dial, slices.Clip(s.trusted)
	} else if m, ok := s.mapped[key]; ok {
		config.CAData = slices.Clip(m.CA)
	}

	return config
}
