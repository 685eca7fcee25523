// Package etcd is a control plane node's member of its cluster's etcd: a real one, which begins a cluster when it is told to, and
// otherwise joins the one that others have.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// Errors that callers tell apart.
var (
	// ErrHasData is that of a member that is to begin a cluster and has data already.
	ErrHasData = errors.New("etcd data directory is not empty")
	// ErrNotRunning is that of one that is in no cluster.
	ErrNotRunning = errors.New("etcd service is not running")
)

// State is what a member does, in Talos's words for services.
type State string

// States of a member.
const (
	Preparing State = "Preparing"
	Running   State = "Running"
	Failed    State = "Failed"
	Finished  State = "Finished"
)

// pause between tries to join, or to get a vote.
const pause = 2 * time.Second

// Config is what a member is made of.
type Config struct {
	// Folder of its data and certificates.
	Folder string
	// Name is the node's host name.
	Name    string
	Address netip.Addr
	// Authority of the cluster's etcd.
	Authority *pki.Authority
	// Peers finds the addresses of other control plane nodes, of which some may not be there.
	Peers func(context.Context) ([]string, error)
	Log   *slog.Logger
}

// Member is one. Make it with New.
type Member struct {
	config Config
	left   chan struct{}

	// joining is held while the data is made.
	joining sync.Mutex

	mu      sync.Mutex
	state   State
	server  *embed.Etcd      // nil while it is in no cluster
	client  *clientv3.Client // of the server
	arrived chan struct{}    // closed when there is a server
}

// New makes a member that does not run yet.
func New(c Config) *Member {
	return &Member{config: c, state: Preparing, arrived: make(chan struct{}), left: make(chan struct{})}
}

func (m *Member) data() string { return filepath.Join(m.config.Folder, "data") }

// pristine tells whether there is no data.
func (m *Member) pristine() bool {
	entries, err := os.ReadDir(m.data())

	return errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0
}

// Run is the member's life: it goes on with the data that it has, or waits for Bootstrap or for a cluster that it can join.
func (m *Member) Run(ctx context.Context) error {
	if err := m.prepare(); err != nil {
		return err
	}

	if !m.pristine() {
		if err := m.start("", embed.ClusterStateFlagExisting); err != nil {
			return err
		}
	}

	for m.current() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-m.arrived:
		case <-time.After(pause):
			if err := m.join(ctx); err != nil {
				m.config.Log.Debug("etcd cannot be joined yet", "error", err)
			}
		}
	}

	return m.serve(ctx)
}

// serve waits for the end of a member that runs.
func (m *Member) serve(ctx context.Context) error {
	server := m.current()
	promoting, stop := context.WithCancel(ctx)

	var promotion sync.WaitGroup

	promotion.Go(func() { m.promote(promoting) })

	defer promotion.Wait()
	defer stop()

	select {
	case <-ctx.Done():
		server.Close()

		return nil
	case <-m.left:
		<-ctx.Done()

		return nil
	case err := <-server.Err():
		m.end(Failed)

		return fmt.Errorf("run etcd: %w", err)
	case <-server.Server.StopNotify(): // its member was removed
		m.config.Log.Error("etcd has stopped: its member was removed")
		m.end(Failed)
		<-ctx.Done()
		server.Close()

		return nil
	}
}

// Bootstrap begins a cluster.
func (m *Member) Bootstrap() error {
	m.joining.Lock()
	defer m.joining.Unlock()

	if !m.pristine() || m.State() != Preparing {
		return ErrHasData
	}

	if err := m.prepare(); err != nil {
		return err
	}

	return m.start(m.config.Name+"="+m.peerURL(), embed.ClusterStateFlagNew)
}

// start runs a member. The initial cluster does not matter to one that has data.
func (m *Member) start(initial, state string) error {
	config, err := m.embedded(initial, state)
	if err != nil {
		return err
	}

	server, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	m.server, m.client, m.state = server, v3client.New(server.Server), Running
	close(m.arrived)
	m.config.Log.Info("etcd is started", "member", server.Server.MemberID(), "state", state)

	return nil
}

func (m *Member) current() *embed.Etcd {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.server
}

// end is the end of a member that runs. It tells whether it did.
func (m *Member) end(state State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.state != Running {
		return false
	}

	m.state = state

	return true
}

// State tells what the member does.
func (m *Member) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.state
}

// Healthy tells whether the member has a leader.
func (m *Member) Healthy() bool {
	server := m.current()

	return m.State() == Running && server.Server.Leader() != 0
}

// Voting waits until the member serves, with a vote: a learner does not answer everything.
func (m *Member) Voting(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	case <-m.arrived:
	}

	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	case <-m.current().Server.ReadyNotify():
	}

	for m.current().Server.IsLearner() || !m.Healthy() {
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the caller's own
		case <-time.After(pause / 4):
		}
	}

	return nil
}

// Client talks to the member itself.
func (m *Member) Client() (*clientv3.Client, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.state != Running {
		return nil, 0, ErrNotRunning
	}

	return m.client, uint64(m.server.Server.MemberID()), nil
}

// Leave removes the member from its cluster, and its data. It does not join again before the node's next start.
func (m *Member) Leave(ctx context.Context) error {
	client, id, err := m.Client()
	if err != nil {
		return err
	}

	m.config.Log.Info("leaves etcd")

	if _, err := client.MemberRemove(ctx, id); err != nil {
		return fmt.Errorf("leave etcd: %w", err)
	}

	if !m.end(Finished) {
		return ErrNotRunning
	}

	close(m.left)
	m.current().Close()

	if err := os.RemoveAll(m.data()); err != nil {
		return fmt.Errorf("leave etcd: %w", err)
	}

	return nil
}
