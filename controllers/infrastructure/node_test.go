package infrastructure_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// workload stands for the API of a cluster of machines: it has one Node, once that is there.
type workload struct {
	mu   sync.Mutex
	node *corev1.Node
}

// ServeHTTP implements http.Handler.
func (w *workload) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()

	answer.Header().Set("Content-Type", "application/json")

	list := &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}

	switch {
	case request.Method == http.MethodGet && request.URL.Path == "/api/v1/nodes":
		if w.node != nil {
			list.Items = append(list.Items, *w.node)
		}

		_ = json.NewEncoder(answer).Encode(list)
	case request.Method == http.MethodPatch && w.node != nil && request.URL.Path == "/api/v1/nodes/"+w.node.Name:
		_ = json.NewDecoder(request.Body).Decode(w.node)
		_ = json.NewEncoder(answer).Encode(w.node)
	default:
		http.NotFound(answer, request)
	}
}

func (w *workload) set(node *corev1.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.node = node
}

// kubeconfig puts a cluster's kubeconfig where Cluster API has it.
func (a *api) kubeconfig(cluster, url string) {
	a.t.Helper()

	clustertest.Must(a.t, a.Create(a.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: cluster + "-kubeconfig", Namespace: metav1.NamespaceDefault},
		Data: map[string][]byte{"value": fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c,
			clusters: [{name: c, cluster: {server: %q}}], users: [{name: u, user: {token: hunter2}}],
			contexts: [{name: c, context: {cluster: c, user: u}}]}`, url)},
	}))
}

// TestNode has the Node of a machine marked, with the rights that the controllers have in the appliance.
func TestNode(t *testing.T) {
	a := start(t)
	a.begin()
	a.provisioned()
	a.class()
	a.server("s")

	m := a.metalMachine(a.machine("m"))
	a.has(m, "s")
	a.fails(m, "there is no Secret c-kubeconfig yet")

	other := &workload{}
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

	other.mu.Lock()
	defer other.mu.Unlock()

	if node.Spec.ProviderID != "sidero://s" {
		t.Errorf("the Node has the provider ID %q", node.Spec.ProviderID)
	}

	for _, line := range a.Log.Since(0, "forbidden", "Forbidden", "hunter2") {
		t.Error(line)
	}
}

// fails waits for the condition that tells why the Node of a machine is not marked.
func (a *api) fails(m *v1alpha3.MetalMachine, message string) {
	a.t.Helper()

	clustertest.Until(a.API, m, "its Node is not marked: "+message, func(m *v1alpha3.MetalMachine) bool {
		c, _ := m.Status.Conditions.Find(v1alpha3.ConditionProviderSet)

		return c.Status == corev1.ConditionFalse && c.Reason == "ProviderUpdateFailed" && strings.Contains(c.Message, message)
	})
}
