package infrastructure_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/secrets"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

// site is a cluster with nodes that run.
type site struct {
	*api

	talos   *talostest.Cluster
	secrets *corev1.Secret
}

func newSite(t *testing.T) *site {
	t.Helper()

	a := start(t)
	a.begin()
	a.provisioned()

	made, err := machineconfig.NewSecrets("v1.13", time.Now())
	clustertest.Must(t, err)

	data, err := made.Data()
	clustertest.Must(t, err)

	authority, key := made.TalosCA()
	s := &site{api: a, talos: &talostest.Cluster{Authority: authority, Key: key}, secrets: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "c-talos", Namespace: metav1.NamespaceDefault, Labels: map[string]string{clusterv1.ClusterNameLabel: "c"},
	}, Data: data}}
	clustertest.Must(t, a.Create(t.Context(), s.secrets))

	return s
}

// runs makes a machine of a server of the same name, which runs as a node.
func (s *site) runs(name string, change func(*metal.ServerSpec)) (*v1alpha3.MetalMachine, *talostest.Node) {
	s.t.Helper()

	server := s.server(name)
	before := server.DeepCopy()
	change(&server.Spec)
	clustertest.Must(s.t, s.Patch(s.t.Context(), server, client.MergeFrom(before)))

	m, node := s.named(name), s.talos.Start(s.t, name)
	node.Configure(configurationOf(name))

	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	clustertest.Until(s.API, binding, "it is there", func(*v1alpha3.ServerBinding) bool { return true })

	spec := binding.DeepCopy()
	binding.Spec.Addresses = []string{node.Address}
	clustertest.Must(s.t, s.Patch(s.t.Context(), binding, client.MergeFrom(spec)))

	said := binding.DeepCopy()
	loaded := metav1.NowMicro()
	binding.Status.ConfigurationLoadedAt = &loaded
	clustertest.Must(s.t, s.Status().Patch(s.t.Context(), binding, client.MergeFrom(said)))

	clustertest.Until(s.API, m, "its address is known", func(m *v1alpha3.MetalMachine) bool {
		return len(m.Status.Addresses) > 0 && m.Status.Addresses[0].Address == node.Address
	})

	return m, node
}

// configurationOf is what a server's node runs by, as far as anybody asks.
func configurationOf(server string) []byte {
	return []byte("version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: " + metal.NodeLabel + "=" + server + "}}}\n")
}

// named makes the MetalMachine of a server of the same name.
func (a *api) named(name string) *v1alpha3.MetalMachine {
	a.t.Helper()

	m := a.metalMachine(a.machine(name))
	before := m.DeepCopy()
	m.Spec.ServerRef, m.Spec.ServerClassRef = &corev1.ObjectReference{Kind: "Server", Name: name}, nil
	clustertest.Must(a.t, a.Patch(a.t.Context(), m, client.MergeFrom(before)))

	return m
}

func unchanged(*metal.ServerSpec) {}

// TestReset deletes machines of servers whose power nothing controls: their nodes wipe their system disks and restart, by the secrets of
// their cluster, which stay as long.
func TestReset(t *testing.T) {
	s := newSite(t)
	first, node := s.runs("a", unchanged)
	second, other := s.runs("b", unchanged)

	clustertest.Until(s.API, s.secrets, "they are kept", func(o *corev1.Secret) bool {
		return controllerutil.ContainsFinalizer(o, secrets.Finalizer)
	})
	clustertest.Must(t, s.Delete(t.Context(), s.secrets)) // as with their namespace

	other.SwitchOff()

	for _, m := range []*v1alpha3.MetalMachine{first, second} {
		clustertest.Must(t, s.Delete(t.Context(), m))
	}

	s.Goes(first)
	s.wantsPerson(second, "does not answer at "+other.Address)

	if resets := node.Resets(); len(resets) != 1 || !resets[0].Reboot || !resets[0].SystemDiskOnly || resets[0].Graceful || len(resets[0].Partitions) > 0 {
		t.Errorf("the node was reset by %+v", resets)
	}

	clustertest.Until(s.API, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, "it is on its way to its wipe", func(s *metal.Server) bool {
		return s.Status.Conditions.Is(metal.ConditionPowerCycle, corev1.ConditionFalse)
	})
	clustertest.Must(t, s.Get(t.Context(), client.ObjectKeyFromObject(s.secrets), s.secrets))

	if left := s.bindings(); len(left) != 1 || left[0].Name != "b" {
		t.Errorf("bindings: %+v", left)
	}

	other.SwitchOn(t) // a person has power-cycled it
	s.Goes(second)
	s.Goes(s.secrets)

	if len(other.Resets()) != 1 {
		t.Errorf("the other node was reset by %+v", other.Resets())
	}

	s.noBindings()

	for _, line := range s.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// TestAnotherNode: at the address of a node that is gone another node of the cluster answers, as at the virtual address of a control plane. It is
// left alone.
func TestAnotherNode(t *testing.T) {
	s := newSite(t)
	m, node := s.runs("a", unchanged)
	node.Configure(configurationOf("b"))

	clustertest.Must(t, s.Delete(t.Context(), m))
	s.wantsPerson(m, "does not answer at "+node.Address)

	if len(node.Resets()) > 0 || node.Called("Reset") > 0 || node.Called("Reboot") > 0 {
		t.Errorf("another node was told: %v", node.Calls())
	}

	node.Configure(configurationOf("a"))
	s.Goes(m)
}

// TestRestarts has nodes restart only that cannot wipe their disk, or are not to.
func TestRestarts(t *testing.T) {
	s := newSite(t)
	cannot, node := s.runs("a", unchanged)
	spared, keeper := s.runs("b", func(spec *metal.ServerSpec) { spec.Wipe = &metal.WipePolicy{Keep: []metal.DiskSelector{{Name: "sdb"}}} })

	node.Refuse("Reset", status.Error(codes.Internal, "no such disk"))

	for _, m := range []*v1alpha3.MetalMachine{cannot, spared} {
		clustertest.Must(t, s.Delete(t.Context(), m))
		s.Goes(m)
	}

	if len(node.Resets())+len(keeper.Resets()) > 0 || node.Called("Reboot") != 1 || keeper.Called("Reboot") != 1 || keeper.Called("Reset") > 0 {
		t.Errorf("called: %v, and %v", node.Calls(), keeper.Calls())
	}
}

// TestTakenBack ends the wait for a node as `sidero-appliance release` does.
func TestTakenBack(t *testing.T) {
	s := newSite(t)
	m, node := s.runs("a", unchanged)

	for method := range map[string]bool{"Reset": true, "Reboot": true} {
		node.Refuse(method, status.Error(codes.Internal, "not now"))
	}

	clustertest.Must(t, s.Delete(t.Context(), m))
	s.wantsPerson(m, "it refuses to restart: ")

	bindings := s.bindings()
	clustertest.Must(t, s.Delete(t.Context(), &bindings[0]))
	s.Goes(m)
	s.noBindings()
}

// TestLeftAlone deletes machines whose nodes are not to be told anything.
func TestLeftAlone(t *testing.T) {
	s := newSite(t)

	for name, change := range map[string]func(*metal.ServerSpec){
		"unaccepted": func(spec *metal.ServerSpec) { spec.Accepted = false },
		"controlled": func(spec *metal.ServerSpec) { spec.ManagementAPI = &metal.ManagementAPI{Endpoint: "127.0.0.1:1"} },
	} {
		m, node := s.runs(name, change)
		clustertest.Must(t, s.Delete(t.Context(), m))
		s.Goes(m)

		if calls := node.Calls(); len(calls) > 0 {
			t.Errorf("%s: called %v", name, calls)
		}
	}

	idle := s.server("idle")
	m := s.named(idle.Name)
	s.has(m, idle.Name)
	clustertest.Must(t, s.Delete(t.Context(), m))
	s.Goes(m) // it has never had its configuration

	lost, node := s.runs("lost", unchanged)
	clustertest.Until(s.API, s.secrets, "they are kept", func(o *corev1.Secret) bool { return len(o.Finalizers) > 0 })

	before := s.secrets.DeepCopy()
	s.secrets.Data = nil
	clustertest.Must(t, s.Patch(t.Context(), s.secrets, client.MergeFrom(before)))
	clustertest.Must(t, s.Delete(t.Context(), lost))
	s.Goes(lost)
	s.event("Server", "lost", "the secrets of its cluster are gone")

	if calls := node.Calls(); len(calls) > 0 {
		t.Errorf("called %v without secrets", calls)
	}

	s.noBindings()
}

// wantsPerson waits for a machine to tell what a person can do, in its condition and by an Event.
func (a *api) wantsPerson(m *v1alpha3.MetalMachine, why string) {
	a.t.Helper()

	clustertest.Until(a.API, m, "it waits for a person: "+why, func(m *v1alpha3.MetalMachine) bool {
		c, _ := m.Status.Conditions.Find(v1alpha3.ConditionReady)

		return c.Reason == v1alpha3.ReasonWaitingForPerson && strings.Contains(c.Message, why) && strings.Contains(c.Message, "power-cycle it") &&
			strings.Contains(c.Message, "sidero-appliance release "+m.Name)
	})
	a.event("MetalMachine", m.Name, why)
}

func (a *api) noBindings() {
	a.t.Helper()

	if left := a.bindings(); len(left) > 0 {
		a.t.Errorf("bindings are left: %+v", left)
	}
}
