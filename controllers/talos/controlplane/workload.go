package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/kubeconfig"
)

const (
	// most is more than an answer ever is.
	most = 16 << 20
	// Talos labels what it runs of Kubernetes so.
	podsPath  = "/api/v1/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane"
	nodesPath = "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"
	partLabel = "k8s-app"
)

// workload is the API of the cluster.
type workload struct {
	caller *http.Client
	host   string
}

// connect makes ready for asking the API that a kubeconfig is for.
func connect(content []byte) (*workload, error) {
	parsed, err := kubeconfig.Parse(content)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it is
	}

	config, err := clientcmd.NewDefaultClientConfig(*parsed, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("use kubeconfig: %w", err)
	}

	config.Timeout = answersWithin

	caller, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("use kubeconfig: %w", err)
	}

	return &workload{caller: caller, host: config.Host}, nil
}

func (w *workload) close() { w.caller.CloseIdleConnections() }

// get reads an answer.
func (w *workload) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.host+path, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}

	answer, err := w.caller.Do(request)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}

	defer answer.Body.Close() //nolint:errcheck // it is only read

	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for %s: %s", path, answer.Status)
	}

	if err := json.NewDecoder(io.LimitReader(answer.Body, most)).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}

	return nil
}

// answers tells whether the API does.
func (w *workload) answers(ctx context.Context) bool {
	var version map[string]any

	return w.get(ctx, "/version", &version) == nil
}

// running is what runs on the nodes of the control plane.
type running struct {
	nodes corev1.NodeList
	pods  corev1.PodList
}

func (w *workload) running(ctx context.Context) (running, error) {
	var r running

	err := errors.Join(w.get(ctx, nodesPath, &r.nodes), w.get(ctx, podsPath, &r.pods))

	return r, err
}

// of are the versions of the parts that run well on a machine, in the order of parts.
func (r running) of(m clusterv1.Machine) [len(parts{})]string {
	var versions [len(parts{})]string

	at := slices.IndexFunc(r.nodes.Items, func(n corev1.Node) bool { return isNode(n, m) })
	if at < 0 {
		return versions
	}

	node := r.nodes.Items[at]

	for i, name := range partNames() {
		for _, pod := range r.pods.Items {
			if pod.Spec.NodeName == node.Name && pod.Labels[partLabel] == name && isReady(pod) && len(pod.Spec.Containers) > 0 {
				versions[i] = tagOf(pod.Spec.Containers[0].Image)
			}
		}
	}

	if slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}) {
		versions[len(versions)-1] = node.Status.NodeInfo.KubeletVersion
	}

	return versions
}

func isReady(pod corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// isNode tells whether a Node is a machine's.
func isNode(n corev1.Node, m clusterv1.Machine) bool {
	if m.Status.NodeRef.IsDefined() {
		return n.Name == m.Status.NodeRef.Name
	}

	return slices.ContainsFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool {
		return a.Type == corev1.NodeInternalIP && slices.ContainsFunc(m.Status.Addresses, func(of clusterv1.MachineAddress) bool {
			return of.Address == a.Address
		})
	})
}
