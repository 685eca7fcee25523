package controlplane_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// TestLife makes a control plane, makes it larger and smaller and another version, stops the controller in between, and deletes it.
func TestLife(t *testing.T) {
	l := newLab(t, 3)
	l.spare("spare")
	running := l.begin()

	l.until("three machines are members", func(p *v1alpha3.TalosControlPlane) bool {
		return p.Status.Ready && p.Status.Bootstrapped && p.Status.Replicas == 3 && len(l.talos.Members()) == 3
	})

	clustertest.Must(t, running.Stop())
	running = l.begin()

	l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Version = "v1.36.0" })
	l.until("all are of the new version", func(p *v1alpha3.TalosControlPlane) bool {
		return p.Status.Version == "v1.36.0" && p.Status.Replicas == 3 && len(l.talos.Members()) == 3
	})
	l.until("clusterctl is told that they are", func(*v1alpha3.TalosControlPlane) bool {
		return !slices.ContainsFunc(l.machines(), func(m clusterv1.Machine) bool { return !conditions.IsTrue(&m, clusterv1.MachineUpToDateCondition) })
	})

	l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Replicas = ptr.To[int64](1) })
	l.until("one is left", func(p *v1alpha3.TalosControlPlane) bool { return p.Status.Replicas == 1 && len(l.talos.Members()) == 1 })

	if begun := l.talos.Bootstraps(); begun != 1 {
		t.Errorf("%d etcd clusters were begun", begun)
	}

	// The only machine, deleted by a person, goes when another has taken its place.
	only := l.machines()[0]
	clustertest.Must(t, l.Delete(t.Context(), &only))
	l.Goes(&only)
	l.until("there is another", func(p *v1alpha3.TalosControlPlane) bool { return p.Status.Replicas == 1 && p.Status.Ready })

	if members := l.talos.Members(); len(members) != 1 || members[0] == only.Name || l.talos.Bootstraps() != 1 {
		t.Errorf("members are %v of %d clusters", members, l.talos.Bootstraps())
	}

	clustertest.Must(t, l.Delete(t.Context(), l.plane))
	l.Goes(l.plane)

	if left := l.machines(); len(left) != 0 {
		t.Errorf("left %d machines", len(left))
	}

	clustertest.Must(t, running.Stop())
}

// TestMadeElsewhere: a machine that upstream has made, and that was moved here, is held like any other. So the only one goes when another has
// taken its place in etcd.
func TestMadeElsewhere(t *testing.T) {
	l := newLab(t, 1)
	l.spare("spare")
	l.begin()
	l.settled()

	only := l.machines()[0]
	clustertest.Must(t, l.Patch(t.Context(), &only, client.RawPatch(types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, preTerminate))))
	clustertest.Until(l.API, &only, "it is held", func(m *clusterv1.Machine) bool {
		_, held := m.Annotations[preTerminate]

		return held
	})
	clustertest.Must(t, l.Delete(t.Context(), &only))
	l.Goes(&only)
	l.settled()

	if members := l.talos.Members(); len(members) != 1 || members[0] == only.Name || l.talos.Bootstraps() != 1 {
		t.Errorf("members are %v of %d clusters", members, l.talos.Bootstraps())
	}
}
