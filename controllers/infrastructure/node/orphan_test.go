package node

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// TestWithout: a Node has a machine as long as one names its server, and one that names no server is nobody's business.
func TestWithout(t *testing.T) {
	leaving := v1alpha3.MetalMachine{}
	leaving.Spec.ServerRef = &corev1.ObjectReference{Name: "leaving"}
	leaving.DeletionTimestamp = new(metav1.Now())

	nodes := []corev1.Node{named("a", "leaving", ""), named("b", "gone", ""), named("c", "", "gone")}

	left := without(nodes, []v1alpha3.MetalMachine{leaving, {}})
	if len(left) != 1 || left[0].Name != "b" {
		t.Errorf("left are %v", left)
	}

	if nodes[0].Name != "a" || nodes[2].Name != "c" {
		t.Error("the list itself was changed")
	}
}

func TestOrphans(t *testing.T) {
	now := time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)
	node := func(name string, status corev1.ConditionStatus, since time.Duration) corev1.Node {
		n := named(name, "gone", "")
		n.CreationTimestamp = metav1.NewTime(now.Add(-since))

		if status != "" {
			n.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour))
			n.Status.Conditions = []corev1.NodeCondition{
				{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue},
				{Type: corev1.NodeReady, Status: status, LastTransitionTime: metav1.NewTime(now.Add(-since))},
			}
		}

		return n
	}

	for name, c := range map[string]struct {
		nodes []corev1.Node
		gone  []string
		again time.Duration
	}{
		"none":                  {nil, nil, inOrderAgainAfter},
		"still runs":            {[]corev1.Node{node("n", corev1.ConditionTrue, time.Hour)}, nil, orphanAfter},
		"stopped just now":      {[]corev1.Node{node("n", corev1.ConditionFalse, time.Minute)}, nil, time.Minute},
		"stopped":               {[]corev1.Node{node("n", corev1.ConditionFalse, orphanAfter)}, []string{"n"}, inOrderAgainAfter},
		"silent":                {[]corev1.Node{node("n", corev1.ConditionUnknown, time.Hour)}, []string{"n"}, inOrderAgainAfter},
		"never told anything":   {[]corev1.Node{node("n", "", time.Hour)}, []string{"n"}, inOrderAgainAfter},
		"registered just now":   {[]corev1.Node{node("n", "", time.Minute)}, nil, time.Minute},
		"the cluster is ahead":  {[]corev1.Node{node("n", corev1.ConditionFalse, -time.Hour)}, nil, inOrderAgainAfter},
		"the first is not late": {[]corev1.Node{node("a", "", 90*time.Second), node("b", "", time.Minute), node("c", "", time.Hour)}, []string{"c"}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			gone, again := orphans(c.nodes, now)

			var names []string
			for _, n := range gone {
				names = append(names, n.Name)
			}

			if !slices.Equal(names, c.gone) || again != c.again {
				t.Errorf("gone are %v, again after %v", names, again)
			}
		})
	}
}
