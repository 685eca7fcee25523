package infrastructure_test

import (
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// TestCrowd has as many machines as there are servers come at once: each gets one of its own.
func TestCrowd(t *testing.T) {
	const crowd = 24

	a := start(t)
	a.begin()
	a.class()

	var machines []*v1alpha3.MetalMachine

	for n := range crowd {
		a.server(fmt.Sprintf("s-%02d", n))
		machines = append(machines, a.metalMachine(a.machine(fmt.Sprintf("m-%02d", n))))
	}

	a.provisioned() // which is what they wait for

	of := map[string]string{}

	for _, m := range machines {
		clustertest.Until(a.API, m, "it has a server", func(m *v1alpha3.MetalMachine) bool { return m.Status.Ready && m.Spec.ServerRef != nil })

		if other, taken := of[m.Spec.ServerRef.Name]; taken {
			t.Errorf("%s and %s have %s", other, m.Name, m.Spec.ServerRef.Name)
		}

		of[m.Spec.ServerRef.Name] = m.Name
	}

	if bindings := a.bindings(); len(bindings) != crowd {
		t.Errorf("%d bindings of %d machines", len(bindings), crowd)
	}
}

// TestSpread has the machines of a cluster come at once, while there are more servers of the first failure domain than machines: each
// gets a server of another domain.
func TestSpread(t *testing.T) {
	a := start(t)
	a.begin()
	a.class()

	const racks = 3

	var machines []*v1alpha3.MetalMachine

	for n := range racks {
		for m := range racks + 1 {
			s := a.server(fmt.Sprintf("s-%d%d", n, m))
			before := s.DeepCopy()
			s.Labels = map[string]string{allocation.FailureDomainLabel: fmt.Sprintf("rack-%d", n)}
			clustertest.Must(t, a.Patch(t.Context(), s, client.MergeFrom(before)))
		}

		machines = append(machines, a.metalMachine(a.machine(fmt.Sprintf("m-%d", n))))
	}

	a.provisioned() // which is what they wait for

	in := map[byte]string{}

	for _, m := range machines {
		clustertest.Until(a.API, m, "it has a server", func(m *v1alpha3.MetalMachine) bool { return m.Status.Ready && m.Spec.ServerRef != nil })

		rack := m.Spec.ServerRef.Name[len("s-")]
		if other, taken := in[rack]; taken {
			t.Errorf("%s and %s are in the same rack, by server %s", other, m.Name, m.Spec.ServerRef.Name)
		}

		in[rack] = m.Name
	}
}
