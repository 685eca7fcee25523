package contract

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

func TestOwnerChanged(t *testing.T) {
	changed := OwnerChanged()

	for name, c := range map[string]struct {
		change func(*clusterv1.Cluster)
		want   bool
	}{
		"nothing":       {func(*clusterv1.Cluster) {}, false},
		"what it wants": {func(c *clusterv1.Cluster) { c.Generation++ }, true},
		"a pause":       {func(c *clusterv1.Cluster) { c.Annotations = map[string]string{clusterv1.PausedAnnotation: ""} }, true},
		"its start":     {func(c *clusterv1.Cluster) { c.Status.Initialization.InfrastructureProvisioned = ptr.To(true) }, true},
		"a condition": {func(c *clusterv1.Cluster) {
			c.Status.Conditions = []metav1.Condition{{Type: clusterv1.ReadyCondition, Status: metav1.ConditionTrue}}
		}, false},
	} {
		now := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
		c.change(now)

		if got := changed.Update(event.UpdateEvent{ObjectOld: &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Generation: 1}}, ObjectNew: now}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}

	ready := &clusterv1.Machine{}
	ready.Status.Phase = "Running"

	for object, want := range map[client.Object]bool{ready: false, &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Generation: 1}}: true} {
		if got := changed.Update(event.UpdateEvent{ObjectOld: &clusterv1.Machine{}, ObjectNew: object}); got != want {
			t.Errorf("%+v: %v", object, got)
		}
	}

	if !changed.Create(event.CreateEvent{Object: ready}) || !changed.Delete(event.DeleteEvent{Object: ready}) {
		t.Error("one that comes or goes is not heard of")
	}
}
