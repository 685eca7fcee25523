package controlplane_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// TestRollout replaces machines by each strategy, when the template of their infrastructure is another.
func TestRollout(t *testing.T) {
	l := newLab(t, 3)
	l.begin()
	l.settled()

	for surge, most := range []int{3, 4} {
		was := l.names()
		l.change(func(s *v1alpha3.TalosControlPlaneSpec) {
			s.RolloutStrategy = &v1alpha3.RolloutStrategy{
				Type: v1alpha3.RollingUpdate, RollingUpdate: &v1alpha3.RollingUpdateParameters{MaxSurge: ptr.To(intstr.FromInt(surge))},
			}
			s.InfrastructureTemplate.Name = other(s.InfrastructureTemplate.Name)
		})

		least, highest := most, 0

		l.until("all are made of the other template", func(p *v1alpha3.TalosControlPlane) bool {
			names := l.names()
			least, highest = min(least, len(names)), max(highest, len(names))

			return p.Status.ObservedGeneration == p.Generation && ptr.Deref(p.Status.UpToDateReplicas, 0) == 3 && p.Status.Replicas == 3 &&
				len(l.talos.Members()) == 3
		})

		if highest > most || least < most-1 || slices.ContainsFunc(l.names(), func(n string) bool { return slices.Contains(was, n) }) {
			t.Errorf("maxSurge %d: between %d and %d machines, %v of %v", surge, least, highest, l.names(), was)
		}
	}

	l.onDelete()

	if begun := l.talos.Bootstraps(); begun != 1 {
		t.Errorf("%d etcd clusters were begun", begun)
	}
}

// other is the template that is not named.
func other(template string) string { return map[string]string{"t": "u", "u": "t"}[template] }

// onDelete wants a machine to be replaced when a person deletes it, and no other.
func (l *lab) onDelete() {
	l.t.Helper()

	was := l.names()
	l.change(func(s *v1alpha3.TalosControlPlaneSpec) {
		s.RolloutStrategy = &v1alpha3.RolloutStrategy{Type: v1alpha3.OnDelete}
		s.InfrastructureTemplate.Name = other(s.InfrastructureTemplate.Name)
	})
	l.until("it tells that a person has to delete", func(p *v1alpha3.TalosControlPlane) bool {
		c, _ := p.Status.Conditions.Find(v1alpha3.MachinesSpecUpToDateCondition)

		return p.Status.ObservedGeneration == p.Generation && c.Status == corev1.ConditionFalse && strings.Contains(c.Message, "person deletes")
	})

	first := l.machines()[0]
	clustertest.Must(l.t, l.Delete(l.t.Context(), &first))
	l.Goes(&first)
	l.until("one is made of the other template", func(p *v1alpha3.TalosControlPlane) bool {
		return ptr.Deref(p.Status.UpToDateReplicas, 0) == 1 && p.Status.Replicas == 3 && len(l.talos.Members()) == 3
	})

	kept := slices.DeleteFunc(was, func(n string) bool { return n == first.Name })
	if names := l.names(); !slices.Contains(names, kept[0]) || !slices.Contains(names, kept[1]) {
		l.t.Errorf("there are %v by now", names)
	}
}

// TestReference makes machines of a template that is named without a version, as Cluster API's newer contract has it.
func TestReference(t *testing.T) {
	l := newLab(t, 1)
	l.change(func(s *v1alpha3.TalosControlPlaneSpec) {
		s.InfrastructureTemplate = corev1.ObjectReference{}
		s.MachineTemplate.Spec.InfrastructureRef = &v1alpha3.ContractReference{
			APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "MetalMachineTemplate", Name: "u",
		}
	})
	l.begin()
	l.settled()

	if made := l.machines()[0].Spec.InfrastructureRef; made.Kind != "MetalMachine" {
		t.Errorf("made of %+v", made)
	}

	l.renewal()
}

// TestPause wants nothing to be done during a pause, by its own annotation or by that of the Cluster, and all of it afterwards.
func TestPause(t *testing.T) {
	l := newLab(t, 3)
	l.begin()
	l.settled()

	for i, pause := range []func(bool){
		func(paused bool) { l.Pause(l.cluster, paused) },
		func(paused bool) {
			value := ptr.To("")
			if !paused {
				value = nil
			}

			l.annotate(clusterv1.PausedAnnotation, value)
		},
	} {
		pause(true)
		l.until("it tells that it is paused", func(p *v1alpha3.TalosControlPlane) bool {
			return p.Status.Conditions.Is(contract.ConditionPaused, corev1.ConditionTrue)
		})

		names, calls := l.names(), l.calls()
		gone := l.machines()[0]

		l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Version = fmt.Sprint("v1.35.", 3+i) })
		clustertest.Must(t, l.Delete(t.Context(), &gone))
		l.until("it has seen the change", func(p *v1alpha3.TalosControlPlane) bool { return p.Status.ObservedGeneration == p.Generation })

		if got := l.calls(); got != calls || len(l.names()) != len(names)-1 {
			t.Errorf("%d calls after %d, machines %v of %v", got, calls, l.names(), names)
		}

		clustertest.Must(t, l.Get(t.Context(), client.ObjectKeyFromObject(&gone), &gone)) // it is still held

		pause(false)
		l.Goes(&gone)
		l.settled()
	}
}

// calls is how often nodes were called.
func (l *lab) calls() int {
	calls := 0
	for _, n := range l.talos.Nodes() {
		calls += len(n.Calls())
	}

	return calls
}
