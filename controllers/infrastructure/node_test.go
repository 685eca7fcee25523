package infrastructure_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// kubeconfig puts a cluster's kubeconfig where Cluster API has it.
func (a *api) kubeconfig(cluster, url string) {
	a.t.Helper()

	clustertest.Must(a.t, a.Create(a.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: cluster + "-kubeconfig", Namespace: metav1.NamespaceDefault, Labels: map[string]string{clusterv1.ClusterNameLabel: cluster},
		},
		Data: map[string][]byte{"value": fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c,
			clusters: [{name: c, cluster: {server: %q}}], users: [{name: u, user: {token: hunter2}}],
			contexts: [{name: c, context: {cluster: c, user: u}}]}`, url)},
	}))
}

// TestNode has the Node of a machine marked, with the rights that the controllers have in the appliance.
func TestNode(t *testing.T) {
	a := working(t)
	a.server("s")

	m := a.metalMachine(a.machine("m"))
	a.has(m, "s")
	a.fails(m, "there is no Secret c-kubeconfig yet")

	other := newWorkload()
	served := httptest.NewServer(other)
	t.Cleanup(served.Close)
	a.kubeconfig("c", served.URL)
	a.fails(m, "no Node is of server s yet")

	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"metal.sidero.dev/uuid": "s"}}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.8"}, {Type: corev1.NodeHostName, Address: "n"}}
	other.set(node)

	clustertest.Until(a.API, m, "its Node is marked", func(m *v1alpha3.MetalMachine) bool {
		return m.Status.Conditions.Is(v1alpha3.ConditionProviderSet, corev1.ConditionTrue) && len(m.Status.Addresses) == 2 &&
			m.Status.Addresses[0].Address == "10.0.0.8" && m.Status.Addresses[1].Address == "n"
	})

	if node = other.node("n"); node.Spec.ProviderID != "sidero://s" {
		t.Errorf("the Node has the provider ID %q", node.Spec.ProviderID)
	}

	for _, line := range a.Log.Since(0, "forbidden", "Forbidden", "hunter2") {
		t.Error(line)
	}
}

// TestNodeOfNoMachine: the Nodes that machines left are deleted, and no others; what cannot be deleted is told, and holds nothing up.
func TestNodeOfNoMachine(t *testing.T) {
	a := working(t)
	a.server("s")

	for server, ref := range map[string]corev1.ObjectReference{
		"bound": {Namespace: "default", Name: "comes"}, "moved": {Namespace: "elsewhere", Name: "m"},
	} {
		clustertest.Must(t, a.Create(t.Context(), &v1alpha3.ServerBinding{
			ObjectMeta: metav1.ObjectMeta{Name: server, Labels: map[string]string{clusterv1.ClusterNameLabel: "c"}},
			Spec:       v1alpha3.ServerBindingSpec{MetalMachineRef: ref},
		}))
	}

	other := newWorkload()
	other.refuses, other.changes = "refused", "changes"
	served := httptest.NewServer(other)
	t.Cleanup(served.Close)

	for _, server := range []string{"s", "", "bound", "moved", "left", "refused", "changes"} {
		other.set(hourOld("node-"+server, server, corev1.ConditionUnknown))
	}

	other.set(hourOld("node-runs", "runs", corev1.ConditionTrue))
	a.kubeconfig("c", served.URL)
	m := a.metalMachine(a.machine("m"))
	a.has(m, "s")
	a.event("Cluster", "c", "Node node-left is deleted: no machine of the cluster has its server left any more")
	a.event("Cluster", "c", "Node node-moved is deleted")
	a.event("Cluster", "c", "Node node-refused should go, because no machine of the cluster has its server refused any more, and is not deleted")

	if names := other.names(); !slices.Equal(names, []string{"node-", "node-bound", "node-changes", "node-refused", "node-runs", "node-s"}) {
		t.Errorf("the Nodes are %v", names)
	}

	clustertest.Until(a.API, m, "its Node is marked", func(m *v1alpha3.MetalMachine) bool {
		return m.Status.Conditions.Is(v1alpha3.ConditionProviderSet, corev1.ConditionTrue)
	})

	a.server("u")

	owner := a.machine("n")
	before := owner.DeepCopy()
	owner.Status.NodeRef.Name = "node-named"
	clustertest.Must(t, a.Status().Patch(t.Context(), owner, client.MergeFrom(before)))
	clustertest.Until(a.API, a.metalMachine(owner), "it has its server", func(m *v1alpha3.MetalMachine) bool {
		return m.Status.Ready && m.Spec.ServerRef != nil && m.Spec.ServerRef.Name == "u"
	})
	other.set(hourOld("node-u", "u", corev1.ConditionTrue), hourOld("node-old", "u", corev1.ConditionFalse), hourOld("node-named", "u", corev1.ConditionFalse))
	a.event("Cluster", "c", "Node node-old is deleted: its server u runs the Node node-u")

	if names := other.names(); slices.Contains(names, "node-old") || !slices.Contains(names, "node-named") {
		t.Errorf("of a server that runs another, the Nodes are %v", names)
	}

	for _, line := range a.Log.Since(0, "is forbidden: User") {
		t.Error(line)
	}
}

// hourOld is a Node of a server that has been as ready as it is for an hour.
func hourOld(name, server string, ready corev1.ConditionStatus) *corev1.Node {
	since := metav1.NewTime(time.Now().Add(-time.Hour))
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), CreationTimestamp: since, Labels: map[string]string{"metal.sidero.dev/uuid": server},
	}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, LastTransitionTime: since}}

	return node
}

// fails waits for the condition that tells why the Node of a machine is not marked.
func (a *api) fails(m *v1alpha3.MetalMachine, message string) {
	a.t.Helper()

	clustertest.Until(a.API, m, "its Node is not marked: "+message, func(m *v1alpha3.MetalMachine) bool {
		c, _ := m.Status.Conditions.Find(v1alpha3.ConditionProviderSet)

		return c.Status == corev1.ConditionFalse && c.Reason == "ProviderUpdateFailed" && strings.Contains(c.Message, message)
	})
}
