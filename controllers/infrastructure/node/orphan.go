package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// Cluster API deletes the Node of a deleted Machine, if it has seen it: one that registered while its Machine was being deleted
// would stay for ever, and no machine would ever stand for it again.

// orphanAfter is how long the Node of a machine that is gone has not been ready before it is deleted. One that was wrongly
// thought to be gone registers again when it starts.
const orphanAfter = 2 * time.Minute

const reasonOrphan = "NodeDeleted"

// without are those Nodes of servers that none of a cluster's machines has, whether it keeps its server or not. A Node that does
// not tell its server is not of this provider, or nobody knows.
func without(nodes []corev1.Node, machines []v1alpha3.MetalMachine) []corev1.Node {
	had := map[string]bool{"": true}

	for i := range machines {
		if ref := machines[i].Spec.ServerRef; ref != nil {
			had[ref.Name] = true
		}
	}

	return slices.DeleteFunc(slices.Clone(nodes), func(n corev1.Node) bool { return had[n.Labels[metal.NodeLabel]] })
}

// orphans are those Nodes without machines that have not been ready for long enough by now, and after what time it is worth
// looking again.
func orphans(nodes []corev1.Node, now time.Time) (gone []*corev1.Node, again time.Duration) {
	again = inOrderAgainAfter

	for i := range nodes {
		since, ready := unready(&nodes[i])
		left := orphanAfter - now.Sub(since)

		switch {
		case ready:
			again = min(again, orphanAfter)
		case left > 0:
			again = min(again, left)
		default:
			gone = append(gone, &nodes[i])
		}
	}

	return gone, again
}

// unready tells since when a Node is not ready, if it is not.
func unready(node *corev1.Node) (since time.Time, ready bool) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastTransitionTime.Time, c.Status == corev1.ConditionTrue
		}
	}

	return node.CreationTimestamp.Time, false
}

// forget deletes the Nodes of a cluster whose machines are gone, of those that have none, and tells how soon it is worth looking
// again.
func (r *reconciler) forget(ctx context.Context, cluster *clusterv1.Cluster, w *workload, nodes []corev1.Node) (time.Duration, error) {
	gone, again := orphans(nodes, time.Now())

	for _, node := range gone {
		server := node.Labels[metal.NodeLabel]

		// A server is bound before its machine names it.
		binding := &v1alpha3.ServerBinding{}

		switch found, err := contract.Find(ctx, r.live, client.ObjectKey{Name: server}, binding); {
		case err != nil:
			return again, err //nolint:wrapcheck // it names the object
		case found && of(binding, cluster):
			continue
		}

		if err := w.remove(ctx, node); err != nil {
			return again, err
		}

		r.events.Eventf(cluster, nil, corev1.EventTypeNormal, reasonOrphan, "DeleteNode",
			"Node %s is deleted: no machine of the cluster has its server %s any more", node.Name, server)
	}

	return again, nil
}

// of tells whether a server is bound to a machine of a cluster.
func of(b *v1alpha3.ServerBinding, cluster *clusterv1.Cluster) bool {
	return b.Spec.MetalMachineRef.Namespace == cluster.Namespace && b.Labels[clusterv1.ClusterNameLabel] == cluster.Name
}

// remove deletes a Node, and not one of the same name that registered since.
func (w *workload) remove(ctx context.Context, node *corev1.Node) error {
	err := w.nodes.Delete(ctx, node.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(node.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete Node %s: %w", node.Name, steady(err))
	}

	return nil
}
