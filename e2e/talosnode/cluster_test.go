//go:build e2e

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"

	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// TestCluster takes a cluster of processes through its life: the API that the product has for nodes and real talosctl are the
// clients, client-go is that of Kubernetes.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	s := newSite(ctx, t)
	cp := s.machine(ctx, t, "cp0", 11, machine.TypeControlPlane)
	worker := s.machine(ctx, t, "w0", 21, machine.TypeWorker)
	s.serve(worker.uuid, refused, broken, invalid, good)
	cp.powerOn(ctx, t)
	worker.powerOn(ctx, t)

	administrator, reader := s.client(t, role.Admin), s.client(t, role.Reader)
	first := dial(t, s, administrator, cp)
	installs(ctx, t, cp, first)
	bootstraps(ctx, t, first, dial(t, s, reader, cp))
	s.joins(ctx, t, cp, worker)

	wanted := []string{"403 Forbidden", "load configuration", "configuration is not valid"}
	for _, reason := range wanted {
		if _, err := worker.log.Wait(ctx, reason); err != nil {
			t.Error(err)
		}
	}

	asks(ctx, t, s, cp, worker)
	s.grows(ctx, t, first)
	upgrades(ctx, t, s, administrator, worker)
	resets(ctx, t, s, worker)
	survives(ctx, t, cp, first)
}

// installs wants a node to install itself, and to be there with the version that it has installed.
func installs(ctx context.Context, t *testing.T, m *computer, api talosapi.Node) {
	t.Helper()

	if _, err := m.log.Wait(ctx, "serves the machine API"); err != nil {
		t.Fatal(err)
	}

	if boots := m.boots.Load(); boots != 2 {
		t.Errorf("%s has started %d times: it installs once, and then boots", m.name, boots)
	}

	eventually(ctx, t, "the version", func() error {
		release, err := api.Version(ctx)
		if err == nil && release != talosRelease {
			err = fmt.Errorf("it is %s", release)
		}

		return err
	})
}

// bootstraps begins etcd once, by who may.
func bootstraps(ctx context.Context, t *testing.T, api, reader talosapi.Node) {
	t.Helper()

	if _, err := api.EtcdMembers(ctx); !errors.Is(err, talosapi.ErrNotReady) {
		t.Errorf("members before the bootstrap: %v", err)
	}

	if _, err := reader.Services(ctx); err != nil {
		t.Errorf("a reader cannot read: %v", err)
	}

	if err := reader.Bootstrap(ctx); err == nil || !strings.Contains(err.Error(), "PermissionDenied") {
		t.Errorf("bootstrap by a reader: %v", err)
	}

	if err := api.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}

	if err := api.Bootstrap(ctx); !errors.Is(err, talosapi.ErrBootstrapped) {
		t.Errorf("second bootstrap: %v", err)
	}
}

// joins waits until machines are Nodes that are ready, and looks at what Cluster API and the product read of them.
func (s *site) joins(ctx context.Context, t *testing.T, machines ...*computer) {
	t.Helper()

	for _, m := range machines {
		eventually(ctx, t, "Node "+m.name, func() error {
			node, err := s.kubernetes.CoreV1().Nodes().Get(ctx, m.name, metav1.GetOptions{})
			if err != nil {
				return err
			}

			return m.isReady(node)
		})
	}
}

func (m *computer) isReady(node *corev1.Node) error {
	wants := map[string][2]string{
		"label": {node.Labels[uuidLabel], m.uuid}, "UUID": {node.Status.NodeInfo.SystemUUID, m.uuid},
		"kubelet": {node.Status.NodeInfo.KubeletVersion, kubernetesRelease}, "address": {node.Status.Addresses[0].Address, m.address},
	}
	for what, is := range wants {
		if is[0] != is[1] {
			return fmt.Errorf("%s is %q instead of %q", what, is[0], is[1])
		}
	}

	if _, labelled := node.Labels["node-role.kubernetes.io/control-plane"]; labelled != (m.kind == machine.TypeControlPlane) {
		return fmt.Errorf("labels are %v", node.Labels)
	}

	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return errors.New("the node-lifecycle controller has not found it ready yet")
		}
	}

	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}

	return errors.New("it is not ready")
}

// asks has real talosctl ask both kinds of nodes.
func asks(ctx context.Context, t *testing.T, s *site, cp, worker *computer) {
	t.Helper()

	for _, m := range []*computer{cp, worker} {
		eventually(ctx, t, "talosctl version of "+m.name, func() error {
			told, err := s.talosctl(ctx, m, "version")
			if err == nil && !strings.Contains(told, talosRelease) {
				err = errors.New(told)
			}

			return err
		})
	}

	told, err := s.talosctl(ctx, cp, "etcd", "members")
	if err != nil || !strings.Contains(told, cp.name) || !strings.Contains(told, "https://"+cp.address+":2380") {
		t.Errorf("talosctl etcd members: %v: %s", err, told)
	}

	told, err = s.talosctl(ctx, cp, "kubeconfig", "-")
	if err != nil || !strings.Contains(told, "admin@"+clusterName) {
		t.Errorf("talosctl kubeconfig: %v: %s", err, told)
	}
}

// grows has two more control plane nodes join, and one leave.
func (s *site) grows(ctx context.Context, t *testing.T, first talosapi.Node) {
	t.Helper()

	more := []*computer{
		s.machine(ctx, t, "cp1", 12, machine.TypeControlPlane), s.machine(ctx, t, "cp2", 13, machine.TypeControlPlane),
	}
	for _, m := range more {
		m.powerOn(ctx, t)
	}

	s.joins(ctx, t, more...)
	eventually(ctx, t, "three members of etcd", func() error { return members(ctx, first, "cp0", "cp1", "cp2") })

	leaving := dial(t, s, s.client(t, role.Admin), more[1])
	eventually(ctx, t, "the leave", func() error { // etcd refuses for some seconds after a change
		return errors.Join(leaving.EtcdForfeitLeadership(ctx), leaving.EtcdLeave(ctx))
	})

	eventually(ctx, t, "two members of etcd", func() error { return members(ctx, first, "cp0", "cp1") })

	if _, err := leaving.EtcdMembers(ctx); !errors.Is(err, talosapi.ErrNotReady) {
		t.Errorf("members by one that has left: %v", err)
	}
}

// members wants etcd to have members, all with a vote.
func members(ctx context.Context, api talosapi.Node, want ...string) error {
	list, err := api.EtcdMembers(ctx)
	if err != nil {
		return err
	}

	var names []string

	for _, m := range list {
		if !m.Learner {
			names = append(names, m.Hostname)
		}
	}

	if slices.Sort(names); !slices.Equal(names, want) {
		return fmt.Errorf("they are %q, of %+v", names, list)
	}

	return nil
}

// upgrades wants a node to run another release, with the configuration that it has.
func upgrades(ctx context.Context, t *testing.T, s *site, administrator []byte, m *computer) {
	t.Helper()

	api, fetched := dial(t, s, administrator, m), s.fetched(m.uuid)
	if err := api.Upgrade(ctx, "installer:v1.13.9"); err != nil {
		t.Fatal(err)
	}

	eventually(ctx, t, "the upgrade", func() error {
		release, err := api.Version(ctx)
		if err == nil && release != "v1.13.9" {
			err = fmt.Errorf("it is %s", release)
		}

		return err
	})

	if now := s.fetched(m.uuid); now != fetched {
		t.Errorf("an upgraded node has fetched its configuration %d times more", now-fetched)
	}
}

// resets wants a node whose configuration is wiped to fetch it again and join again, and one that is wiped altogether to be blank.
func resets(ctx context.Context, t *testing.T, s *site, m *computer) {
	t.Helper()

	fetched, boots := s.fetched(m.uuid), m.boots.Load()

	told, err := s.talosctl(ctx, m, "reset", "--graceful=false", "--reboot", "--wait=false", "--system-labels-to-wipe", "STATE,EPHEMERAL")
	if err != nil {
		t.Fatalf("talosctl reset: %v: %s", err, told)
	}

	eventually(ctx, t, "the fetch after the reset", func() error {
		if s.fetched(m.uuid) == fetched || m.boots.Load() != boots+1 {
			return fmt.Errorf("%d fetches, %d starts", s.fetched(m.uuid)-fetched, m.boots.Load()-boots)
		}

		return nil
	})
	eventually(ctx, t, "the node after the reset", func() error {
		told, err := s.talosctl(ctx, m, "version")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, told)
		}

		return err
	})

	if told, err := s.talosctl(ctx, m, "reset", "--graceful=false", "--wait=false"); err != nil {
		t.Fatalf("talosctl reset: %v: %s", err, told)
	}

	select {
	case <-m.off:
	case <-ctx.Done():
		t.Fatal("a node that is reset for good is not switched off")
	}

	if m.installed(t) {
		t.Error("a node that is reset for good has something to boot from")
	}
}

// survives cuts the power of a control plane node, which goes on then with what it had.
func survives(ctx context.Context, t *testing.T, m *computer, api talosapi.Node) {
	t.Helper()

	before, err := api.EtcdStatus(ctx)
	if err != nil {
		t.Fatal(err)
	}

	m.cutPower()
	m.powerOn(ctx, t)
	eventually(ctx, t, "etcd after a power cut", func() error {
		now, err := api.EtcdStatus(ctx)
		if err == nil && (now.ID != before.ID || now.Leader == 0) {
			err = fmt.Errorf("it is %+v", now)
		}

		return err
	})
}
