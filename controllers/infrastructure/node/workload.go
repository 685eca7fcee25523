package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/kubeconfig"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// answersWithin bounds each request to a cluster.
const answersWithin = 5 * time.Second

// workload is the API of a cluster of machines.
type workload struct{ nodes v1.NodeInterface }

// connect makes a client by the kubeconfig of a cluster, in the Secret that Cluster API's contract names.
func connect(ctx context.Context, reader client.Reader, cluster client.ObjectKey) (*workload, error) {
	secret, key := &corev1.Secret{}, client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Name + "-kubeconfig"}

	found, err := contract.Find(ctx, reader, key, secret)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the object
	}

	if !found {
		return nil, fmt.Errorf("there is no Secret %s yet, with the kubeconfig of the cluster", key.Name)
	}

	parsed, err := kubeconfig.Parse(secret.Data["value"])
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig in Secret %s: %w", key.Name, err)
	}

	config, err := clientcmd.NewDefaultClientConfig(*parsed, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig in Secret %s: %w", key.Name, err)
	}

	config.Timeout = answersWithin

	api, err := v1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client by Secret %s: %w", key.Name, err)
	}

	return &workload{api.Nodes()}, nil
}

func (w *workload) list(ctx context.Context) ([]corev1.Node, error) {
	all, err := w.nodes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's Nodes: %w", steady(err))
	}

	return all.Items, nil
}

// write gives a Node what it needs.
func (w *workload) write(ctx context.Context, node *corev1.Node, server string) error {
	text, err := patch(node, server)
	if err != nil || text == nil {
		return err
	}

	if _, err := w.nodes.Patch(ctx, node.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write Node %s: %w", node.Name, steady(err))
	}

	return nil
}

// remove deletes a Node as it was seen: neither one of the same name that has registered since, nor one that became ready.
func (w *workload) remove(ctx context.Context, node *corev1.Node) (deleted bool, err error) {
	as := &metav1.Preconditions{UID: &node.UID, ResourceVersion: &node.ResourceVersion}

	err = w.nodes.Delete(ctx, node.Name, metav1.DeleteOptions{Preconditions: as})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}

	if err != nil {
		return false, fmt.Errorf("delete Node %s: %w", node.Name, steady(err))
	}

	return true, nil
}

// steady is an error without the port of this side, which is another each time.
func steady(err error) error {
	if op := new(net.OpError); errors.As(err, &op) {
		return fmt.Errorf("%s %v: %w", op.Op, op.Addr, op.Err)
	}

	return err
}
