package controlplane

import (
	"testing"

	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

// TestNodeDeletion has Cluster API try to delete Nodes for minutes, if nobody says otherwise.
func TestNodeDeletion(t *testing.T) {
	for name, c := range map[string]struct {
		said *int64
		want int32
	}{"not said": {nil, 300}, "said": {ptr.To[int64](7), 7}, "for ever": {ptr.To[int64](0), 0}} {
		s := &scene{cluster: &clusterv1.Cluster{}, plane: &v1alpha3.TalosControlPlane{}}
		s.plane.Spec.MachineTemplate.Spec.Deletion.NodeDeletionTimeoutSeconds = c.said

		got := s.newMachine("a", clusterv1.ContractVersionedObjectReference{}, nil).Spec.Deletion.NodeDeletionTimeoutSeconds
		if got == nil || *got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
