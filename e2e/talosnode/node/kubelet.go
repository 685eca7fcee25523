package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/kubelet"
)

const controlPlaneRole = "node-role.kubernetes.io/control-plane"

// newKubelet makes the node's kubelet by its configuration.
func (r *running) newKubelet() *kubelet.Kubelet {
	cluster := r.loaded.Cluster()

	url := cluster.Endpoint().String()
	if r.control != nil {
		url = r.control.LocalURL()
	}

	var authority []byte
	for _, accepted := range cluster.AcceptedCAs() {
		authority = append(authority, accepted.Crt...)
	}

	if issuing := cluster.IssuingCA(); issuing != nil {
		authority = append(authority, issuing.Crt...)
	}

	return kubelet.New(kubelet.Config{
		Folder: filepath.Join(r.Root, "kubelet"), URL: url, Authority: authority,
		Token: cluster.Token().ID() + "." + cluster.Token().Secret(), Log: r.log,
		Node: r.Describe(r.loaded, r.release),
	})
}

// Describe is what a kubelet says of its node by a configuration, with the release of Talos that runs.
func (c Config) Describe(loaded config.Provider, release string) kubelet.Node {
	var taints []corev1.Taint
	if loaded.Machine().Type().IsControlPlane() && !loaded.Cluster().ScheduleOnControlPlanes() {
		taints = append(taints, corev1.Taint{Key: controlPlaneRole, Effect: corev1.TaintEffectNoSchedule})
	}

	return kubelet.Node{
		Name: c.Hostname(loaded), Addresses: c.Network.Addresses, Labels: labels(loaded), Taints: taints, UUID: c.Identity.UUID,
		Image: "stand-in for Talos (" + release + ")", Version: Tag(loaded.Machine().Kubelet().Image()),
	}
}

// labels are those that the kubelet registers with.
func labels(loaded config.Provider) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, loaded.Machine().NodeLabels())

	for _, list := range loaded.Machine().Kubelet().ExtraArgs()["node-labels"] {
		for _, label := range strings.Split(list, ",") {
			if key, value, ok := strings.Cut(label, "="); ok {
				labels[key] = value
			}
		}
	}

	return labels
}

// label gives a control plane node the label of its role, which kubelets may not give themselves.
func (r *running) label(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.kubelet.Registered():
	}

	client, err := kubernetes.NewForConfig(r.control.Admin(r.control.LocalURL()))
	if err != nil {
		return fmt.Errorf("label node: %w", err)
	}

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{controlPlaneRole: ""}}})
	if err != nil {
		return fmt.Errorf("label node: %w", err)
	}

	for {
		_, err := client.CoreV1().Nodes().Patch(ctx, r.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			return nil
		}

		r.log.Warn("cannot label its node yet", "error", err)

		select {
		case <-ctx.Done():
			return nil
		case <-time.After(asksAgain):
		}
	}
}
