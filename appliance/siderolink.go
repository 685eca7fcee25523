package appliance

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	pb "github.com/siderolabs/siderolink/api/siderolink"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/metadata/events"
	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
	"github.com/sidero-appliance/sidero-appliance/metadata/nodes"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
	linkserver "github.com/sidero-appliance/sidero-appliance/metadata/siderolink/server"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/netboot/timeline"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

const (
	// asksWithin is how long the names of who sends a log may take to find.
	asksWithin = 5 * time.Second

	// noNetwork is Sidero's word for a network that was not given.
	noNetwork = "-"
)

// sideroLink is what machines in use report to, and what they are told of it.
type sideroLink struct {
	*linkserver.Server

	provision *siderolink.Provision
	api       string // HOST:PORT that machines join at
}

func newSideroLink(s site, objects cache.Cache, lookup metadata.Lookup, live client.Client, saw sightings) (*sideroLink, error) {
	if err := nodes.Index(context.Background(), objects); err != nil {
		return nil, err
	}
	ends := nodes.Ends{Objects: objects, Client: live}
	reports := &nodes.Reports{
		Objects: objects, Client: live, Hidden: s.hiddenNetworks(), Now: time.Now, Saw: saw.talos,
		Unattended: nodes.NewUnattended(func(ctx context.Context, b *v1alpha3.ServerBinding) ([]byte, error) {
			return configurationOf(ctx, lookup, b)
		}, s.Log),
	}
	server := linkserver.New(linkserver.Config{
		Identity: func(ctx context.Context) (siderolink.Identity, error) { return nodes.Identity(ctx, live) },
		Port:     s.Link.Port(),
		Peers:    ends.All,
		Watch:    func(ctx context.Context, changed func()) error { return nodes.Watch(ctx, objects, changed) },
		Events:   &events.Sink{Machines: reports, Log: s.Log},
		Logs:     &logs.Receiver{Files: logFiles(s), Sender: senders(reports), Log: s.Log},
		Log:      s.Log,
	})
	return &sideroLink{
		Server: server, api: net.JoinHostPort(s.Advertise.String(), strconv.Itoa(s.AdvertisedHTTPPort())),
		provision: &siderolink.Provision{Identity: server.Identity, Endpoint: s.Link, Peers: ends, Log: s.Log},
	}, nil
}

func senders(reports *nodes.Reports) func(netip.Addr) logs.Sender {
	return func(tunnel netip.Addr) logs.Sender {
		ctx, done := context.WithTimeout(context.Background(), asksWithin)
		defer done()
		return reports.Sender(ctx, tunnel)
	}
}

// configurationOf is the one of a binding's machine, without what is told of SideroLink.
func configurationOf(ctx context.Context, lookup metadata.Lookup, binding *v1alpha3.ServerBinding) ([]byte, error) {
	binding, server, err := lookup.Binding(ctx, binding.Name)
	if err != nil {
		return nil, err
	}
	sources, err := lookup.Sources(ctx, binding, server)
	if err != nil {
		return nil, err
	}
	return metadata.Render(sources, metadata.Link{})
}

// offer is the service by which machines join.
func (l *sideroLink) offer() registration.Offer {
	return registration.Offer{Description: pb.ProvisionService_ServiceDesc, Service: l.provision}
}

// talos is what machines are told of it by the kernel's arguments: nothing before it has started.
func (l *sideroLink) talos() bootplan.Talos {
	identity, err := l.Identity()
	if err != nil {
		return bootplan.Talos{}
	}
	return bootplan.Talos{API: l.api, Logs: logsAt(identity), Events: inside(identity, linkserver.EventsPort)}
}

// reports is what machines are told of it in their configurations.
func (l *sideroLink) reports() (metadata.Link, error) {
	identity, err := l.Identity()
	if err != nil {
		return metadata.Link{}, fmt.Errorf("tell of SideroLink: %w", err)
	}
	return metadata.Link{API: "grpc://" + l.api, Logs: logsAt(identity), Events: inside(identity, linkserver.EventsPort)}, nil
}

func logsAt(identity siderolink.Identity) string {
	return "tcp://" + inside(identity, linkserver.LogsPort)
}

func inside(identity siderolink.Identity, port uint16) string {
	return netip.AddrPortFrom(identity.Address(), port).String()
}

// hiddenNetworks are those of --negative-address-filter, which was validated.
func (c Config) hiddenNetworks() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range c.NegativeAddressFilter {
		if network, err := netip.ParsePrefix(text); err == nil {
			all = append(all, network.Masked())
		}
	}
	return all
}

// talos tells what a server's machine says that it does.
func (s sightings) talos(server, does string) {
	s.saw(timeline.Sighting{Server: server, Time: time.Now(), Step: timeline.Talos, Detail: does})
}
