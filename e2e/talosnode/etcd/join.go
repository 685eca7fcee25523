package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// answersWithin bounds what is asked of other members.
const answersWithin = 30 * time.Second

// join makes the node a member of the cluster that others have, at first without a vote, as Talos does.
func (m *Member) join(ctx context.Context) error {
	return m.askOthers(ctx, func(ctx context.Context, others *clientv3.Client) error {
		m.joining.Lock()
		defer m.joining.Unlock()

		if m.current() != nil {
			return nil
		}

		members, err := m.enter(ctx, others)
		if err != nil {
			return err
		}

		return m.start(m.initial(members), embed.ClusterStateFlagExisting)
	})
}

// enter adds the member. One that had the node's name before its data was lost is removed first, as Talos does. One that a former try
// has added is taken up, which is kinder than Talos.
func (m *Member) enter(ctx context.Context, others *clientv3.Client) ([]*etcdserverpb.Member, error) {
	list, err := others.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list members of etcd: %w", err)
	}

	for _, e := range list.Members {
		switch {
		case e.Name == "" && slices.Contains(e.PeerURLs, m.peerURL()):
			return list.Members, nil
		case e.Name == m.config.Name:
			if _, err := others.MemberRemove(ctx, e.ID); err != nil {
				return nil, fmt.Errorf("remove former member of etcd: %w", err)
			}
		}
	}

	added, err := others.MemberAddAsLearner(ctx, []string{m.peerURL()})
	if err != nil {
		return nil, fmt.Errorf("add member of etcd: %w", err)
	}

	return added.Members, nil
}

// initial is how etcd is told its members. Names of others do not matter.
func (m *Member) initial(members []*etcdserverpb.Member) string {
	var all []string

	for _, e := range members {
		name := e.Name
		if slices.Contains(e.PeerURLs, m.peerURL()) {
			name = m.config.Name
		} else if name == "" {
			name = fmt.Sprintf("%x", e.ID)
		}

		for _, peer := range e.PeerURLs {
			all = append(all, name+"="+peer)
		}
	}

	return strings.Join(all, ",")
}

// promote gives the member its vote as soon as it has all data.
func (m *Member) promote(ctx context.Context) {
	server := m.current().Server

	select {
	case <-ctx.Done():
		return
	case <-server.ReadyNotify(): // it does not know before that it is a learner
	}

	for server.IsLearner() {
		if err := m.promoteOnce(ctx, uint64(server.MemberID())); err != nil {
			m.config.Log.Debug("etcd gives no vote yet", "error", err)
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (m *Member) promoteOnce(ctx context.Context, id uint64) error {
	return m.askOthers(ctx, func(ctx context.Context, others *clientv3.Client) error {
		if _, err := others.MemberPromote(ctx, id); err != nil {
			return fmt.Errorf("promote member of etcd: %w", err)
		}

		m.config.Log.Info("etcd gives a vote")

		return nil
	})
}

// askOthers asks the other members of the cluster.
func (m *Member) askOthers(ctx context.Context, ask func(context.Context, *clientv3.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()

	others, err := m.others(ctx)
	if err != nil {
		return err
	}

	defer others.Close()

	return ask(ctx, others)
}

// others is a client of other members.
func (m *Member) others(ctx context.Context) (*clientv3.Client, error) {
	peers, err := m.config.Peers(ctx)
	if err != nil {
		return nil, err
	}

	var endpoints []string

	for _, address := range peers {
		if address != m.config.Address.String() {
			endpoints = append(endpoints, "https://"+net.JoinHostPort(address, clientPort))
		}
	}

	if len(endpoints) == 0 {
		return nil, errors.New("no other control plane node is known")
	}

	secured, err := m.security()
	if err != nil {
		return nil, err
	}

	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: endpoints, TLS: secured, Logger: quiet()})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}

	return client, nil
}

func (m *Member) security() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(m.file(memberName+".crt"), m.file(memberName+".key"))
	if err != nil {
		return nil, fmt.Errorf("use certificate of etcd: %w", err)
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(m.config.Authority.PEM)

	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}
