package node

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

//nolint:gochecknoglobals // a constant
var noon = time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)

// reporting is a Node of a server that was made some time before noon, and tells for how long it has been ready, or has not.
func reporting(name, server string, made time.Duration, status corev1.ConditionStatus, since time.Duration) corev1.Node {
	n := named(name, server, "")
	n.CreationTimestamp = metav1.NewTime(noon.Add(-made))

	if status != "" {
		n.Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue},
			{Type: corev1.NodeReady, Status: status, LastTransitionTime: metav1.NewTime(noon.Add(-since))},
		}
	}

	return n
}

// TestOrphans: the machines have the servers "had" and, though it is being deleted, "leaving".
func TestOrphans(t *testing.T) {
	had, leaving := v1alpha3.MetalMachine{}, v1alpha3.MetalMachine{}
	had.Spec.ServerRef = &corev1.ObjectReference{Name: "had"}
	leaving.Spec.ServerRef = &corev1.ObjectReference{Name: "leaving"}
	leaving.DeletionTimestamp = new(metav1.Now())

	paused := v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{clusterv1.PausedAnnotation: ""}}}
	paused.Spec.ServerRef = &corev1.ObjectReference{Name: "paused"}

	const (
		yes, no, unknown = corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown
		day              = 24 * time.Hour
	)

	ends := reporting("n", "gone", day, no, time.Hour)
	ends.DeletionTimestamp = new(metav1.Now())

	for name, c := range map[string]struct {
		nodes []corev1.Node
		gone  []string
		again time.Duration
	}{
		"none":                 {nil, nil, inOrderAgainAfter},
		"has a machine":        {[]corev1.Node{reporting("n", "had", day, no, time.Hour)}, nil, inOrderAgainAfter},
		"its machine leaves":   {[]corev1.Node{reporting("n", "leaving", day, no, time.Hour)}, nil, inOrderAgainAfter},
		"tells no server":      {[]corev1.Node{reporting("n", "", day, no, time.Hour), reporting("m", "", time.Hour, yes, time.Hour)}, nil, inOrderAgainAfter},
		"is deleted already":   {[]corev1.Node{ends}, nil, inOrderAgainAfter},
		"still runs":           {[]corev1.Node{reporting("n", "gone", day, yes, time.Hour)}, nil, orphanAfter},
		"stopped just now":     {[]corev1.Node{reporting("n", "gone", day, no, time.Minute)}, nil, orphanAfter - time.Minute},
		"stopped":              {[]corev1.Node{reporting("n", "gone", day, no, orphanAfter)}, []string{"n"}, inOrderAgainAfter},
		"silent":               {[]corev1.Node{reporting("n", "gone", day, unknown, time.Hour)}, []string{"n"}, inOrderAgainAfter},
		"never told anything":  {[]corev1.Node{reporting("n", "gone", time.Hour, "", 0)}, []string{"n"}, inOrderAgainAfter},
		"registered just now":  {[]corev1.Node{reporting("n", "gone", time.Minute, "", 0)}, nil, orphanAfter - time.Minute},
		"the cluster is ahead": {[]corev1.Node{reporting("n", "gone", day, no, -time.Hour)}, nil, inOrderAgainAfter},
		"one of several": {[]corev1.Node{
			reporting("a", "gone", 2*time.Minute, "", 0), reporting("b", "gone", time.Minute, "", 0), reporting("c", "gone", time.Hour, "", 0),
		}, []string{"c"}, orphanAfter - 2*time.Minute},
		"its server came back by another name": {[]corev1.Node{reporting("n", "had", day, no, time.Hour), reporting("m", "had", time.Hour, yes, time.Hour)}, []string{"n"}, inOrderAgainAfter},
		"its server came back just now":        {[]corev1.Node{reporting("n", "had", day, no, time.Minute), reporting("m", "had", time.Hour, yes, 0)}, nil, orphanAfter - time.Minute},
		"the other is not ready":               {[]corev1.Node{reporting("n", "had", day, no, time.Hour), reporting("m", "had", time.Hour, no, time.Hour)}, nil, inOrderAgainAfter},
		"its server went back to its old name": {[]corev1.Node{reporting("n", "had", time.Hour, no, time.Hour), reporting("m", "had", day, yes, time.Hour)}, []string{"n"}, inOrderAgainAfter},
		"a Machine names it":                   {[]corev1.Node{reporting("named", "had", day, no, time.Hour), reporting("m", "had", time.Hour, yes, time.Hour)}, nil, inOrderAgainAfter},
		"its machine is paused":                {[]corev1.Node{reporting("n", "paused", day, no, time.Hour), reporting("m", "paused", time.Hour, yes, time.Hour)}, nil, inOrderAgainAfter},
		"two others run": {[]corev1.Node{
			reporting("n", "had", day, no, time.Hour), reporting("m", "had", time.Hour, yes, time.Hour), reporting("o", "had", time.Hour, yes, time.Hour),
		}, nil, inOrderAgainAfter},
		"two that run, with a machine for either": {[]corev1.Node{reporting("n", "had", day, yes, day), reporting("m", "leaving", time.Hour, yes, time.Hour)}, nil, inOrderAgainAfter},
	} {
		t.Run(name, func(t *testing.T) {
			gone, again := seen{c.nodes, []v1alpha3.MetalMachine{had, leaving, paused, {}}, map[string]bool{"named": true}}.orphans(noon)

			var names []string
			for _, o := range gone {
				names = append(names, o.Name)

				if o.superseded != (o.Labels["metal.sidero.dev/uuid"] == "had") || o.why == "" {
					t.Errorf("%s: superseded is %v, because %s", o.Name, o.superseded, o.why)
				}
			}

			if !slices.Equal(names, c.gone) || again != c.again {
				t.Errorf("gone are %v, again after %v", names, again)
			}
		})
	}
}

func TestElsewhere(t *testing.T) {
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "n"}}

	for name, c := range map[string]struct {
		namespace, machine, label string
		want                      bool
	}{
		"of the cluster":                 {"n", "m", "c", false},
		"of a machine without a label":   {"n", "m", "", false},
		"of another cluster":             {"n", "m", "d", true},
		"of one of another namespace":    {"o", "m", "c", true},
		"of a person, without a machine": {"", "", "", false},
	} {
		b := &v1alpha3.ServerBinding{}
		b.Spec.MetalMachineRef = corev1.ObjectReference{Namespace: c.namespace, Name: c.machine}

		if c.label != "" {
			b.Labels = map[string]string{clusterv1.ClusterNameLabel: c.label}
		}

		if got := elsewhere(b, cluster); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// delayed is a queue that notes what is added to it for later.
type delayed struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]

	added map[string]time.Duration
}

func (d delayed) AddAfter(request reconcile.Request, after time.Duration) {
	d.added[request.String()] = after
}

// TestGoneMachine: the Cluster of a machine that is gone is looked at when its Node can have been left for long enough.
func TestGoneMachine(t *testing.T) {
	gone := event.DeleteEvent{Object: &v1alpha3.MetalMachine{
		ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: "n", Labels: map[string]string{clusterv1.ClusterNameLabel: "c"}},
	}}
	queue := delayed{added: map[string]time.Duration{}}

	if !becomesPending().Delete(gone) {
		t.Error("it is not heard of")
	}

	alsoDeleted{}.Delete(t.Context(), gone, queue)

	if len(queue.added) != 1 || queue.added["n/c"] != orphanAfter {
		t.Errorf("%v", queue.added)
	}
}
