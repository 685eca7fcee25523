package serverbinding

import (
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/contract"
)

// PausedAnnotation is on bindings of machines whose cluster is paused. It stays when the machine goes during the pause, as it does
// when clusterctl moves the cluster elsewhere: its server runs on, and must not be wiped.
const PausedAnnotation = "metal.sidero.dev/cluster-paused"

// restored is for how long a binding without its machine may be one that was restored from a backup before its machine.
const restored = 5 * time.Minute

// facts are what is decided by.
type facts struct {
	binding *v1alpha3.ServerBinding
	// machine is the one of the name that the binding tells, and cluster its; nil when there is none.
	machine *v1alpha3.MetalMachine
	cluster *clusterv1.Cluster
	// server tells whether there is one.
	server bool
	now    time.Time
}

type decision struct {
	// clear tells that the binding is to be deleted, so that its server is wiped.
	clear bool
	// again is when to look again; never when zero.
	again time.Duration
	// mark tells whether the binding is to have PausedAnnotation.
	mark bool
	// kept tells that nobody but a person can say what becomes of the server.
	kept  bool
	ready bool
}

// next decides what is done for a binding. A machine gives its server back by its finalizer; a binding that is left all the same had
// its machine's finalizer taken away by somebody.
func next(f facts) decision {
	_, marked := f.binding.Annotations[PausedAnnotation]
	d := decision{mark: marked, ready: f.server}

	switch age := f.now.Sub(f.binding.CreationTimestamp.Time); {
	case f.machine != nil && allocation.IsOf(f.binding, f.machine):
		d.mark = contract.Paused(f.machine, f.cluster)
	case contract.Paused(f.binding, f.cluster), !f.binding.DeletionTimestamp.IsZero():
	case marked:
		d.kept = true
	case age < restored:
		d.again = restored - age
	default:
		d.clear = true
	}

	return d
}
