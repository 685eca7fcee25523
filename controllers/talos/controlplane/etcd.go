package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// errAnother is that of a machine at whose address another member of etcd answers by now, or none.
var errAnother = errors.New("its member of etcd does not answer at its address")

// errNoSecrets is that of a cluster of which no node has been described yet.
var errNoSecrets = errors.New("the cluster has no secrets yet")

// seen is what one node said.
type seen struct {
	reached, pristine bool
	status            talosapi.EtcdStatus
	healthy           bool
	members           []talosapi.Member // nil when a majority did not answer
	talos             string
	parts             [len(parts{})]string // that its configuration names
}

// inspect asks the nodes, all at once, and adds what they say to the facts.
func (r *reconciler) inspect(ctx context.Context, s *scene) error {
	config, err := r.clientConfig(ctx, s)
	if errors.Is(err, errNoSecrets) {
		return nil
	}

	if err != nil {
		return err
	}

	said := make([]seen, len(s.machines))

	var asking sync.WaitGroup

	for i, m := range s.machines {
		if at := address(m); at != "" {
			asking.Go(func() { said[i] = r.ask(ctx, config, at, s.facts.questions(i)) })
		}
	}

	asking.Wait()
	s.facts.learn(s.machines, said)

	return nil
}

// questions are what a node is asked besides that about etcd.
type questions struct{ talos, parts bool }

func (f facts) questions(i int) questions {
	m := f.machines[i]
	upgraded := m.outdated && !m.differs && !m.deleting && f.bootstrapped

	return questions{talos: f.talos != "" || upgraded, parts: upgraded}
}

// ask asks a node. What it does not answer stays unknown.
func (r *reconciler) ask(ctx context.Context, config []byte, address string, further questions) seen {
	node, err := r.dial(config, address)
	if err != nil {
		return seen{}
	}

	defer node.Close() //nolint:errcheck // nothing is lost with it

	services, err := node.Services(ctx)
	if err != nil {
		return seen{}
	}

	found := seen{reached: true}

	if further.talos {
		found.talos, _ = node.Version(ctx) //nolint:errcheck // as told
	}

	if further.parts {
		if configuration, err := node.Configuration(ctx); err == nil {
			found.parts, _ = told(configuration) //nolint:errcheck // as told
		}
	}

	found.askEtcd(ctx, node, services)

	return found
}

func (s *seen) askEtcd(ctx context.Context, node talosapi.Node, services []talosapi.Service) {
	status, err := node.EtcdStatus(ctx)
	if err != nil {
		s.pristine = errors.Is(err, talosapi.ErrNotReady) && !runs(services) && isEmpty(ctx, node)

		return
	}

	s.status = status
	s.healthy = status.Leader != 0 && !status.Learner && len(status.Errors) == 0 &&
		slices.ContainsFunc(services, func(s talosapi.Service) bool { return s.ID == "etcd" && s.Healthy })

	if members, err := node.EtcdMembers(ctx); err == nil {
		s.members = members
	}
}

func runs(services []talosapi.Service) bool {
	return slices.ContainsFunc(services, func(s talosapi.Service) bool { return s.ID == "etcd" && s.State == "Running" })
}

// isEmpty tells whether a node has no data of etcd: after a restart a member does not run for a while, either. One that does not know
// the question is believed by its services.
func isEmpty(ctx context.Context, node talosapi.Node) bool {
	data, err := node.EtcdData(ctx)

	return err == nil && !data || errors.Is(err, talosapi.ErrNotReady)
}

// learn adds what nodes said, in the order of the machines.
func (f *facts) learn(machines []clusterv1.Machine, said []seen) {
	var members []talosapi.Member
	for _, s := range said {
		if s.members != nil {
			members, f.etcd = s.members, true
		}
	}

	f.members = len(members)

	for i, s := range said {
		if mistaken(machines, said, members, i) {
			s = seen{}
		}

		m := &f.machines[i]
		m.reached, m.pristine, m.talos = s.reached, s.pristine, s.talos
		m.member = member{id: s.status.ID, healthy: s.healthy}

		for p, version := range s.parts {
			m.parts[p].told = version
		}

		if m.member.id == 0 { // one that is off, or restarts, or was wiped and joins again, is a member all the same
			if at := slices.IndexFunc(members, func(e talosapi.Member) bool { return isOf(e, machines[i]) }); at >= 0 {
				m.member.id = members[at].ID
			}
		}

		if f.etcd && !slices.ContainsFunc(members, func(e talosapi.Member) bool { return e.ID == m.member.id }) {
			m.member = member{}
		}
	}

	for _, e := range members {
		if !slices.ContainsFunc(f.machines, func(m machine) bool { return m.member.id == e.ID }) {
			f.strangers = append(f.strangers, e.ID)
		}
	}
}

// mistaken tells whether the node that was asked for a machine is perhaps that of another one, which says the same of itself, or whose
// address the member has: at the address of a node that is off another one answers that has it now, as the virtual address of the control
// plane. The machine whose own address is the member's is believed.
func mistaken(machines []clusterv1.Machine, said []seen, members []talosapi.Member, of int) bool {
	id := said[of].status.ID
	if id == 0 {
		return false
	}

	at := slices.IndexFunc(members, func(e talosapi.Member) bool { return e.ID == id })
	if at >= 0 && isOf(members[at], machines[of]) {
		return false
	}

	for i, other := range said {
		if i != of && (other.status.ID == id || at >= 0 && isOf(members[at], machines[i])) {
			return true
		}
	}

	return false
}

// isOf tells whether a member is a machine's.
func isOf(e talosapi.Member, m clusterv1.Machine) bool {
	for _, peer := range e.PeerURLs {
		if at, err := url.Parse(peer); err == nil {
			for _, a := range m.Status.Addresses {
				if a.Address == at.Hostname() {
					return true
				}
			}
		}
	}

	return e.Hostname != "" && (e.Hostname == m.Status.NodeRef.Name || e.Hostname == m.Name)
}

// clientConfig is an administrator's of the cluster.
func (r *reconciler) clientConfig(ctx context.Context, s *scene) ([]byte, error) {
	if s.cluster == nil {
		return nil, errNoSecrets
	}

	secret := &corev1.Secret{}

	err := r.client.Get(ctx, client.ObjectKey{Namespace: s.cluster.Namespace, Name: s.cluster.Name + machineconfig.SecretsSuffix}, secret)
	if apierrors.IsNotFound(err) {
		return nil, errNoSecrets
	}

	if err != nil {
		return nil, fmt.Errorf("read secrets of the cluster: %w", err)
	}

	secrets, err := machineconfig.ReadSecrets(secret.Data)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it is
	}

	return secrets.ClientConfig(machineconfig.Client{Cluster: s.cluster.Name}, time.Now()) //nolint:wrapcheck // it says what it is
}

// tell connects to the node of a machine and has it do something.
func (r *reconciler) tell(ctx context.Context, s *scene, name string, do func(talosapi.Node) error) error {
	config, err := r.clientConfig(ctx, s)
	if err != nil {
		return err
	}

	node, err := r.dial(config, address(*s.machine(name)))
	if err != nil {
		return err
	}

	defer node.Close() //nolint:errcheck // nothing is lost with it

	return do(node)
}

// evict has a machine's member leave, by itself if it can, and else by another that is well.
func (r *reconciler) evict(ctx context.Context, s *scene, name string) error {
	leaving := s.fact(name)
	if leaving.reached {
		err := r.tell(ctx, s, name, func(n talosapi.Node) error {
			if status, err := n.EtcdStatus(ctx); err != nil || status.ID != leaving.member.id {
				return errAnother
			}

			_ = n.EtcdForfeitLeadership(ctx) //nolint:errcheck // without it the others elect a leader some seconds later

			return n.EtcdLeave(ctx)
		})
		if err == nil {
			return nil
		}
	}

	return r.expel(ctx, s, leaving.member.id, name)
}

// expel removes a member, by a machine that is well and not to go itself.
func (r *reconciler) expel(ctx context.Context, s *scene, id uint64, but string) error {
	for _, m := range s.facts.machines {
		if m.name != but && m.reached && m.member.healthy {
			return r.tell(ctx, s, m.name, func(n talosapi.Node) error { return n.EtcdRemoveMember(ctx, id) })
		}
	}

	return fmt.Errorf("remove member %x of etcd: no other machine is well", id)
}
