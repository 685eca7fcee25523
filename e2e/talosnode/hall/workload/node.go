package workload

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const leaseNamespace = "kube-node-lease"

func nodeKey(name string) key { return key{schema.GroupResource{Resource: "nodes"}, "", name} }

// Register makes a Node. One that is there stays, with the status of the new one.
func (s *Store) Register(node *unstructured.Unstructured) error {
	k := nodeKey(node.GetName())

	_, err := s.create(k, node)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}

	_, err = s.change(k, func(was *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		was.Object["status"] = node.DeepCopy().Object["status"]

		return was, nil
	})

	return err
}

// Renew renews a Node's Lease.
func (s *Store) Renew(node string, at time.Time) {
	k := key{schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}, leaseNamespace, node}
	lease := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": node, "namespace": leaseNamespace},
		"spec": map[string]any{
			"holderIdentity": node, "leaseDurationSeconds": int64(40), "renewTime": at.UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
		},
	}}

	if _, err := s.create(k, lease); apierrors.IsAlreadyExists(err) {
		_, _ = s.change(k, func(*unstructured.Unstructured) (*unstructured.Unstructured, error) { return lease, nil }) // it is there
	}
}
