package node

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// Cluster API deletes the Node of a deleted Machine, if it has seen it: one that registered while its Machine was being deleted
// would stay for ever. When its server came back into the cluster, by another name, nobody could tell which Node is the machine's.

// orphanAfter is how long the Node of a machine that is gone has not been ready before it is deleted. Nothing waits for it, and a
// kubelet that runs on all the same registers only when it starts again.
const orphanAfter = 5 * time.Minute

const (
	reasonOrphan     = "NodeDeleted"
	reasonOrphanKept = "NodeNotDeleted"
)

// seen is what there is of a cluster.
type seen struct {
	nodes    []corev1.Node
	machines []v1alpha3.MetalMachine
	// named are the Nodes that Machines name. Cluster API never changes that, and takes the machine of a Node that is gone for unhealthy.
	named map[string]bool
}

// orphan is a Node that no machine stands for.
type orphan struct {
	*corev1.Node

	// why ends the sentence that tells of it.
	why string
	// superseded tells that another Node of the same server is ready.
	superseded bool
}

// orphans are those Nodes that have no machine, and have not been ready for long enough by now, and after what time it is worth
// looking again.
func (s seen) orphans(now time.Time) (gone []orphan, again time.Duration) {
	again = inOrderAgainAfter
	had, running := servers(s.machines), running(s.nodes)

	for i := range s.nodes {
		// A Node that does not tell its server is not of this provider, or nobody knows.
		node := &s.nodes[i]
		server := node.Labels[metal.NodeLabel]
		machine, other := had[server], running[server]
		superseded := machine != nil && other != "" && other != node.Name && !s.named[node.Name] && !contract.Paused(machine, nil)

		if server == "" || !node.DeletionTimestamp.IsZero() || machine != nil && !superseded {
			continue
		}

		since, ready := unready(node)
		left := orphanAfter - now.Sub(since)

		switch {
		case ready:
			again = min(again, orphanAfter)
		case left > 0:
			again = min(again, left)
		case superseded:
			gone = append(gone, orphan{node, fmt.Sprintf("its server %s runs the Node %s", server, other), true})
		default:
			gone = append(gone, orphan{node, fmt.Sprintf("no machine of the cluster has its server %s any more", server), false})
		}
	}

	return gone, again
}

// servers are those that machines have, whether they keep them or not.
func servers(machines []v1alpha3.MetalMachine) map[string]*v1alpha3.MetalMachine {
	had := map[string]*v1alpha3.MetalMachine{}

	for i := range machines {
		if ref := machines[i].Spec.ServerRef; ref != nil {
			had[ref.Name] = &machines[i]
		}
	}

	return had
}

// running are the names of the Nodes that are ready, by their servers, where it is one: a server runs one kubelet.
func running(nodes []corev1.Node) map[string]string {
	one, several := map[string]string{}, map[string]bool{}

	for i := range nodes {
		server := nodes[i].Labels[metal.NodeLabel]
		if _, ready := unready(&nodes[i]); !ready {
			continue
		}

		_, known := one[server]
		several[server] = known
		one[server] = nodes[i].Name
	}

	maps.DeleteFunc(one, func(server, _ string) bool { return several[server] })

	return one
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

// forget deletes the Nodes of a cluster whose machines are gone, and tells how soon it is worth looking again. What is not deleted
// is told by an Event, and holds nothing up.
func (r *reconciler) forget(ctx context.Context, cluster *clusterv1.Cluster, w *workload, s seen) time.Duration {
	gone, again := s.orphans(time.Now())
	if len(gone) == 0 {
		return again
	}

	// What is in memory may be older than a pause, or than a machine that was moved here.
	now, err := r.stored(ctx, cluster)
	if err != nil {
		r.events.Eventf(cluster, nil, corev1.EventTypeWarning, reasonOrphanKept, "DeleteNode", "Node %s is not deleted yet: %v", gone[0].Name, err)

		return min(again, orphanAfter)
	}

	now.nodes = s.nodes
	gone, again = now.orphans(time.Now())

	for _, o := range gone {
		if err := r.remove(ctx, cluster, w, o); err != nil {
			again = min(again, orphanAfter)

			r.events.Eventf(cluster, o.Node, corev1.EventTypeWarning, reasonOrphanKept, "DeleteNode", "Node %s should go, because %s, and is not deleted: %v", o.Name, o.why, err)
		}
	}

	return again
}

// stored is what there is of a cluster that is not paused, besides its Nodes, as it is stored.
func (r *reconciler) stored(ctx context.Context, cluster *clusterv1.Cluster) (seen, error) {
	now := &clusterv1.Cluster{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(cluster), now); err != nil {
		return seen{}, fmt.Errorf("read Cluster %s: %w", cluster.Name, err)
	}

	if contract.Paused(now, now) {
		return seen{}, fmt.Errorf("the Cluster %s is paused", cluster.Name)
	}

	own, owners := &v1alpha3.MetalMachineList{}, &clusterv1.MachineList{}
	for _, list := range []client.ObjectList{own, owners} {
		if err := r.live.List(ctx, list, client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}); err != nil {
			return seen{}, fmt.Errorf("list machines: %w", err)
		}
	}

	named := map[string]bool{}
	for i := range owners.Items {
		named[owners.Items[i].Status.NodeRef.Name] = true
	}

	return seen{machines: own.Items, named: named}, nil
}

// remove deletes a Node, unless its server may be of the cluster all the same: a server is bound before its machine names it, and a
// person may bind one without a machine.
func (r *reconciler) remove(ctx context.Context, cluster *clusterv1.Cluster, w *workload, o orphan) error {
	binding := &v1alpha3.ServerBinding{}

	found, err := contract.Find(ctx, r.live, client.ObjectKey{Name: o.Labels[metal.NodeLabel]}, binding)
	if err != nil || found && !o.superseded && !elsewhere(binding, cluster) {
		return err //nolint:wrapcheck // it names the object
	}

	deleted, err := w.remove(ctx, o.Node)
	if deleted {
		r.events.Eventf(cluster, o.Node, corev1.EventTypeNormal, reasonOrphan, "DeleteNode", "Node %s is deleted: %s", o.Name, o.why)
	}

	return err
}

// elsewhere tells whether a server is bound to a machine that is not one of the cluster's.
func elsewhere(b *v1alpha3.ServerBinding, cluster *clusterv1.Cluster) bool {
	of, name := b.Spec.MetalMachineRef, b.Labels[clusterv1.ClusterNameLabel]

	return of.Name != "" && (of.Namespace != cluster.Namespace || name != "" && name != cluster.Name)
}
