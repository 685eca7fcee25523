package infrastructure_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// TestLife takes machines through their life, with the rights that the controllers have in the appliance.
func TestLife(t *testing.T) {
	a := start(t)
	running := a.begin()
	a.provisioned()

	metalCluster := a.metalCluster()
	clustertest.Until(a.API, metalCluster, "it is ready, by both contracts", func(m *v1alpha3.MetalCluster) bool {
		return m.Status.Ready && m.Status.Initialization != nil && *m.Status.Initialization.Provisioned && len(m.Finalizers) == 1
	})

	m := a.metalMachine(a.machine("m"))
	a.waits(m, v1alpha3.ReasonClassNotFound, "there is no ServerClass all")
	a.class()
	a.waits(m, v1alpha3.ReasonNoServerFits, "none of 0")

	s := a.server("s")
	a.has(m, "s")

	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	clustertest.Until(a.API, binding, "it is ready", func(b *v1alpha3.ServerBinding) bool { return b.Status.Ready })

	if ref := binding.Spec.ServerClassRef; ref == nil || ref.Name != "all" || binding.Labels["kept"] != "yes" || binding.Spec.MetalMachineRef.UID != m.UID {
		t.Errorf("the binding is %+v", binding)
	}

	other := a.metalMachine(a.machine("n"))
	a.waits(other, v1alpha3.ReasonNoServerFits, "class all has 1 server: 1 in use")

	// A machine that does not know its server any more finds it again, also by other controllers.
	clustertest.Must(t, running.Stop())

	before := m.DeepCopy()
	m.Spec.ServerRef = nil
	clustertest.Must(t, a.Patch(t.Context(), m, client.MergeFrom(before)))
	a.server("r") // it comes first by its name

	before = other.DeepCopy()
	other.Spec.ServerRef = &corev1.ObjectReference{Name: "s"} // which is another's
	clustertest.Must(t, a.Patch(t.Context(), other, client.MergeFrom(before)))

	a.begin()
	a.has(m, "s")
	a.waits(other, v1alpha3.ReasonServerNotAvailable, "allocated to MetalMachine default/m")

	// A pause holds up the deletion; what is gone does not.
	a.Pause(a.cluster, true)
	clustertest.Must(t, a.Delete(t.Context(), m))
	clustertest.Must(t, a.Delete(t.Context(), &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: m.Namespace}}))
	a.Pause(a.cluster, false)
	a.Goes(m)
	a.Goes(binding)

	a.has(other, "s") // by its name, clean or not
	clustertest.Must(t, a.Get(t.Context(), client.ObjectKeyFromObject(s), s))

	orphan := &v1alpha3.MetalCluster{ObjectMeta: metav1.ObjectMeta{
		Name: "orphan", Namespace: m.Namespace, Finalizers: []string{v1alpha3.MetalClusterFinalizer},
	}}
	clustertest.Must(t, a.Create(t.Context(), orphan))

	for _, object := range []client.Object{other, metalCluster, orphan} {
		clustertest.Must(t, a.Delete(t.Context(), object))
		a.Goes(object)
	}

	if left := a.bindings(); len(left) > 0 {
		t.Errorf("bindings are left: %+v", left)
	}

	for _, line := range a.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// waits waits for the reason for which a machine has no server.
func (a *api) waits(m *v1alpha3.MetalMachine, reason, message string) {
	a.t.Helper()

	clustertest.Until(a.API, m, "it waits because of "+reason, func(m *v1alpha3.MetalMachine) bool {
		c, _ := m.Status.Conditions.Find(v1alpha3.ConditionReady)

		return !m.Status.Ready && c.Status == corev1.ConditionFalse && c.Reason == reason && strings.Contains(c.Message, message)
	})
}

// has waits for a machine to have a server, by both contracts.
func (a *api) has(m *v1alpha3.MetalMachine, server string) {
	a.t.Helper()

	clustertest.Until(a.API, m, "it has server "+server, func(m *v1alpha3.MetalMachine) bool {
		return m.Status.Ready && m.Status.Initialization != nil && *m.Status.Initialization.Provisioned &&
			ptr.Deref(m.Spec.ProviderID, "") == "sidero://"+server && m.Spec.ServerRef != nil && m.Spec.ServerRef.Name == server &&
			m.Status.Conditions.Is(v1alpha3.ConditionServerBound, corev1.ConditionTrue) &&
			len(m.Status.Addresses) == 1 && m.Status.Addresses[0].Address == "10.0.0.7"
	})
}

// TestAddressOfServer: what is new of a server that a machine tells is told by the machine as well, though nothing else happens.
func TestAddressOfServer(t *testing.T) {
	a := working(t)
	s := a.server("s")

	m := a.metalMachine(a.machine("m"))
	a.has(m, "s")

	tells := func(address, domain string) {
		t.Helper()
		clustertest.Until(a.API, m, "it tells "+address+" and "+domain, func(m *v1alpha3.MetalMachine) bool {
			return len(m.Status.Addresses) > 0 && m.Status.Addresses[0].Address == address && m.Status.FailureDomain == domain
		})
	}
	tells("10.0.0.7", "")

	clustertest.Must(t, a.Get(t.Context(), client.ObjectKeyFromObject(s), s))
	before := s.DeepCopy()
	s.Status.Addresses[0].Address = "10.0.0.9"
	clustertest.Must(t, a.Status().Patch(t.Context(), s, client.MergeFrom(before)))
	tells("10.0.0.9", "")

	before = s.DeepCopy()
	s.Labels = map[string]string{"metal.sidero.dev/failure-domain": "rack-1"}
	clustertest.Must(t, a.Patch(t.Context(), s, client.MergeFrom(before)))
	tells("10.0.0.9", "rack-1")
}
