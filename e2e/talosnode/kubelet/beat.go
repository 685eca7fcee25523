package kubelet

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// beat renews the Lease, and reports the Node's status when it is time to, or when somebody else has changed it.
func (k *Kubelet) beat(ctx context.Context, client kubernetes.Interface, report bool) error {
	node, err := client.CoreV1().Nodes().Get(ctx, k.Node.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Node: %w", err)
	}

	if report || !ready(node) {
		k.Node.report(&node.Status, time.Now())

		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("report status of Node: %w", err)
		}
	}

	if err := renew(ctx, client, node); err != nil {
		return fmt.Errorf("renew Lease: %w", err)
	}

	k.beats.Store(time.Now().UnixNano())

	return nil
}

func ready(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}

	return false
}

// renew keeps the Node's Lease up. One that is not there is made.
func renew(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, lasts := metav1.NewMicroTime(time.Now()), int32(leaseLasts/time.Second)

	lease, err := leases.Get(ctx, node.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
			}},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &node.Name, LeaseDurationSeconds: &lasts, RenewTime: &now},
		}, metav1.CreateOptions{})

		return err
	}

	if err != nil {
		return err
	}

	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &node.Name, &lasts, &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})

	return err
}
