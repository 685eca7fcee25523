package infrastructure_test

import (
	"fmt"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
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
