package infrastructure_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/external"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// TestPause: each kind tells whether it is left alone, and nothing is done meanwhile.
func TestPause(t *testing.T) {
	a := working(t)

	c := a.metalCluster()
	m := a.metalMachine(a.machine("m"))
	a.waits(m, v1alpha3.ReasonNoServerFits, "none of 0")

	paused := func(status corev1.ConditionStatus, why string) {
		t.Helper()

		is := func(all metal.Conditions) bool {
			got, ok := all.Find(contract.ConditionPaused)

			return ok && got.Status == status && got.Reason != "" && strings.Contains(got.Message, why) &&
				(got.Severity == "") == (status == corev1.ConditionTrue)
		}

		clustertest.Until(a.API, m, "its pause is told", func(m *v1alpha3.MetalMachine) bool { return is(m.Status.Conditions) })

		if why == "annotation" {
			return
		}

		clustertest.Until(a.API, c, "its pause is told", func(c *v1alpha3.MetalCluster) bool { return is(c.Status.Conditions) })
	}

	paused(corev1.ConditionFalse, "")
	a.Pause(a.cluster, true)
	paused(corev1.ConditionTrue, "spec.paused of Cluster c is true")

	a.server("s")
	a.Pause(a.cluster, false)
	paused(corev1.ConditionFalse, "")
	a.has(m, "s")

	before := m.DeepCopy()
	m.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
	clustertest.Must(t, a.Patch(t.Context(), m, client.MergeFrom(before)))
	paused(corev1.ConditionTrue, "annotation")
	clustertest.Must(t, a.Delete(t.Context(), m))

	// What is deleted during a pause stays: by the time that another machine has been seen to, it would have gone.
	next := a.metalMachine(a.machine("n"))
	a.waits(next, v1alpha3.ReasonNoServerFits, "1 in use")
	clustertest.Must(t, a.Get(t.Context(), client.ObjectKeyFromObject(m), m))

	before = m.DeepCopy()
	m.Annotations = nil
	clustertest.Must(t, a.Patch(t.Context(), m, client.MergeFrom(before)))
	a.Goes(m)
	a.has(next, "s")
}

// TestMissingClass has a machine made from a template that names a class which is not there, as Cluster API makes them.
func TestMissingClass(t *testing.T) {
	a := start(t)
	a.begin()
	a.provisioned()
	a.server("s")

	template := &v1alpha3.MetalMachineTemplate{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: metav1.NamespaceDefault}}
	template.Spec.Template.Spec.ServerClassRef = &corev1.ObjectReference{Name: "all"}
	clustertest.Must(t, a.Create(t.Context(), template))

	owner := a.machine("m")
	_, _, err := external.CreateFromTemplate(t.Context(), &external.CreateFromTemplateInput{
		Client: a.Client, Namespace: metav1.NamespaceDefault, Name: owner.Name, ClusterName: a.cluster.Name,
		TemplateRef: &corev1.ObjectReference{APIVersion: v1alpha3.GroupVersion.String(), Kind: "MetalMachineTemplate", Namespace: metav1.NamespaceDefault, Name: "t"},
		OwnerRef:    metav1.NewControllerRef(owner, clusterv1.GroupVersion.WithKind("Machine")),
	})
	clustertest.Must(t, err)

	m := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: owner.Name, Namespace: metav1.NamespaceDefault}}
	a.waits(m, v1alpha3.ReasonClassNotFound, "there is no ServerClass all; make it, or name another")
	a.event("MetalMachine", m.Name, "there is no ServerClass all")

	// It is there, and has no server that fits; then it has.
	class := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	class.Spec.Selector = metav1.LabelSelector{MatchLabels: map[string]string{"rack": "1"}}
	clustertest.Must(t, a.Create(t.Context(), class))
	a.waits(m, v1alpha3.ReasonNoServerFits, "class all has no servers: none of 1")
	a.event("MetalMachine", m.Name, "class all has no servers")

	before := class.DeepCopy()
	class.Spec.Selector = metav1.LabelSelector{}
	clustertest.Must(t, a.Patch(t.Context(), class, client.MergeFrom(before)))
	a.has(m, "s")
}

// TestGone deletes a machine all of whose surroundings are gone already.
func TestGone(t *testing.T) {
	a := working(t)

	s, owner, waiting := a.server("s"), a.machine("m"), a.machine("n")
	m := a.metalMachine(owner)
	a.has(m, "s")
	waits := a.metalMachine(waiting)
	a.waits(waits, v1alpha3.ReasonNoServerFits, "1 in use")

	// A machine whose cluster is half deleted takes no server any more.
	a.hold(a.cluster)
	clustertest.Must(t, a.Delete(t.Context(), a.cluster))
	a.waits(waits, v1alpha3.ReasonGoes, "takes no server any more")
	a.server("r")
	a.waits(waits, v1alpha3.ReasonGoes, "takes no server any more")
	a.letGo(a.cluster)
	a.Goes(a.cluster)

	if left := a.bindings(); len(left) != 1 || left[0].Name != s.Name {
		t.Errorf("bindings: %+v", left)
	}

	class := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	for _, object := range []client.Object{s, class, owner, waiting} {
		clustertest.Must(t, a.Delete(t.Context(), object))
		a.Goes(object)
	}

	for _, object := range []client.Object{m, waits} {
		clustertest.Must(t, a.Delete(t.Context(), object))
		a.Goes(object)
	}

	a.noBindings()

	for _, line := range a.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

const heldBy = "test.sidero.dev/held"

// hold keeps an object that is deleted, as controllers do that have something to do first.
func (a *api) hold(object client.Object) { a.finalizers(object, heldBy) }

func (a *api) letGo(object client.Object) { a.finalizers(object) }

func (a *api) finalizers(object client.Object, names ...string) {
	a.t.Helper()
	clustertest.Must(a.t, a.Get(a.t.Context(), client.ObjectKeyFromObject(object), object))

	before, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		a.t.Fatal("no object")
	}

	object.SetFinalizers(names)
	clustertest.Must(a.t, a.Patch(a.t.Context(), object, client.MergeFrom(before)))
}

// event waits for an Event about an object that says something.
func (a *api) event(kind, name, text string) {
	a.t.Helper()

	all := &corev1.EventList{}

	err := wait.PollUntilContextTimeout(a.t.Context(), 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		if err := a.List(ctx, all); err != nil {
			return false, err
		}

		for _, e := range all.Items {
			if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name && strings.Contains(e.Message, text) {
				return true, nil
			}
		}

		return false, nil
	})
	if err != nil {
		a.t.Errorf("no Event about %s %s says %q: %v\n%+v", kind, name, text, err, all.Items)
	}
}
