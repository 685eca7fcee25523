package etcd

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

const (
	clientPort = "2379"
	peerPort   = "2380"

	memberName  = "member"
	caName      = "ca.crt"
	localClient = "127.0.0.1"

	// heartbeat and election are slow enough for machines under emulation, in milliseconds.
	heartbeat = 500
	election  = 5000
)

func (m *Member) file(name string) string { return filepath.Join(m.config.Folder, name) }

func (m *Member) peerURL() string {
	return "https://" + net.JoinHostPort(m.config.Address.String(), peerPort)
}

// prepare writes the certificates.
func (m *Member) prepare() error {
	if err := os.MkdirAll(m.config.Folder, 0o700); err != nil {
		return fmt.Errorf("prepare etcd: %w", err)
	}

	pair, err := m.config.Authority.Issue(pki.Subject{
		Name: m.config.Name, Client: true,
		Hosts: []string{m.config.Name, "localhost", localClient, m.config.Address.String()},
	})
	if err != nil {
		return fmt.Errorf("prepare etcd: %w", err)
	}

	if err := pair.Write(m.config.Folder, memberName); err != nil {
		return fmt.Errorf("prepare etcd: %w", err)
	}

	if err := os.WriteFile(m.file(caName), m.config.Authority.PEM, 0o600); err != nil {
		return fmt.Errorf("prepare etcd: %w", err)
	}

	return nil
}

func (m *Member) embedded(initial, state string) (*embed.Config, error) {
	peer, err := url.Parse(m.peerURL())
	if err != nil {
		return nil, fmt.Errorf("configure etcd: %w", err)
	}

	client := url.URL{Scheme: "https", Host: net.JoinHostPort(m.config.Address.String(), clientPort)}
	secured := transport.TLSInfo{
		CertFile: m.file(memberName + ".crt"), KeyFile: m.file(memberName + ".key"),
		TrustedCAFile: m.file(caName), ClientCertAuth: true,
	}

	c := embed.NewConfig()
	c.Name, c.Dir = m.config.Name, m.data()
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	c.ListenClientUrls = []url.URL{client, {Scheme: "https", Host: net.JoinHostPort(localClient, clientPort)}}
	c.AdvertiseClientUrls = []url.URL{client}
	c.ClientTLSInfo, c.PeerTLSInfo = secured, secured
	c.TickMs, c.ElectionMs = heartbeat, election
	c.ClusterState = state
	c.EnableGRPCGateway = false
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(quiet())

	if initial == "" { // it has data, by which it knows
		initial = m.config.Name + "=" + m.peerURL()
	}

	c.InitialCluster = initial

	return c, nil
}

// quiet is a log of what goes wrong.
func quiet() *zap.Logger {
	c := zap.NewProductionConfig()
	c.Level, c.DisableStacktrace = zap.NewAtomicLevelAt(zap.ErrorLevel), true

	logger, err := c.Build()
	if err != nil {
		return zap.NewNop()
	}

	return logger
}
