package infrastructure_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// TestRemediation has machines remediated, with the rights that the controllers have in the appliance: one of a MachineSet is
// replaced, one of a control plane is left to that.
func TestRemediation(t *testing.T) {
	a := working(t)

	for name, kind := range map[string]string{"worker": "MachineSet", "controller": "TalosControlPlane"} {
		a.controlled("of-" + name)

		owner := a.machine(name)
		before := owner.DeepCopy()
		owner.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: clusterv1.GroupVersion.String(), Kind: kind, Name: "set", UID: "1", Controller: new(true),
		}}

		if kind != "MachineSet" {
			owner.Labels[clusterv1.MachineControlPlaneLabel] = ""
		}

		clustertest.Must(t, a.Patch(t.Context(), owner, client.MergeFrom(before)))
		m := a.metalMachine(owner)
		before2 := m.DeepCopy()
		m.Spec.ServerRef = &corev1.ObjectReference{Kind: "Server", Name: "of-" + name}
		clustertest.Must(t, a.Patch(t.Context(), m, client.MergeFrom(before2)))
		a.has(m, "of-"+name)
		a.remediate(owner)
	}

	worker := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "worker", Namespace: metav1.NamespaceDefault}}
	a.Goes(worker)

	controller := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "controller", Namespace: metav1.NamespaceDefault}}
	clustertest.Until(a.API, controller, "it is handed over", func(m *clusterv1.Machine) bool {
		return conditions.IsFalse(m, clusterv1.MachineOwnerRemediatedCondition)
	})

	if !controller.DeletionTimestamp.IsZero() {
		t.Error("a Machine of the control plane is deleted")
	}

	for _, line := range a.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// remediate makes the remediation of a machine, and wants its server's power to be cycled twice, and no more often.
func (a *api) remediate(owner *clusterv1.Machine) {
	a.t.Helper()

	// It installs Talos in place.
	before := owner.DeepCopy()
	metav1.SetMetaDataAnnotation(&owner.ObjectMeta, installation.Annotation, installation.Try{To: "v1.13.6", Times: 1, At: time.Now()}.String())
	clustertest.Must(a.t, a.Patch(a.t.Context(), owner, client.MergeFrom(before)))

	r := &v1alpha3.MetalRemediation{ObjectMeta: metav1.ObjectMeta{
		Name: owner.Name, Namespace: owner.Namespace,
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: owner.Name, UID: owner.UID,
		}},
	}}
	r.Spec.Strategy = v1alpha3.RemediationStrategy{RetryLimit: new(int64(2)), Timeout: &metav1.Duration{Duration: 2 * time.Second}}
	clustertest.Must(a.t, a.Create(a.t.Context(), r))
	a.leftAlone(owner, r)

	for range 2 {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "of-" + owner.Name}}
		clustertest.Until(a.API, s, "its power is asked for", func(s *metal.Server) bool {
			return s.Annotations[metal.PowerRequestAnnotation] == "cycle"
		})

		before := s.DeepCopy()
		delete(s.Annotations, metal.PowerRequestAnnotation) // as the controller of servers does
		clustertest.Must(a.t, a.Patch(a.t.Context(), s, client.MergeFrom(before)))
	}

	clustertest.Until(a.API, r, "it gives up", func(r *v1alpha3.MetalRemediation) bool {
		c, _ := r.Status.Conditions.Find(v1alpha3.ConditionReady)

		return r.Status.Phase == "Failed" && r.Status.RetryCount == 2 && strings.Contains(c.Message, "after 2 of 2 power cycles")
	})
}

// leftAlone wants nothing to be done for a machine that installs Talos in place, and has that end.
func (a *api) leftAlone(owner *clusterv1.Machine, r *v1alpha3.MetalRemediation) {
	a.t.Helper()

	told := func(reason string) {
		clustertest.Until(a.API, r, "it is told "+reason, func(r *v1alpha3.MetalRemediation) bool {
			c, _ := r.Status.Conditions.Find(v1alpha3.ConditionReady)

			return c.Reason == reason
		})
	}
	told(v1alpha3.ReasonInstallsTalos)

	if r.Status.RetryCount != 0 {
		a.t.Errorf("its power was cycled: %+v", r.Status)
	}

	before := owner.DeepCopy()
	delete(owner.Annotations, installation.Annotation)
	clustertest.Must(a.t, a.Patch(a.t.Context(), owner, client.MergeFrom(before)))
	told(v1alpha3.ReasonServerBack)
}
