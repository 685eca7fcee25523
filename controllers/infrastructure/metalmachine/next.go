package metalmachine

import (
	"fmt"

	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// facts are what is decided by.
type facts struct {
	machine *v1alpha3.MetalMachine
	owner   *clusterv1.Machine // nil when there is none
	cluster *clusterv1.Cluster // nil when there is none
}

type action int

const (
	// leave is to do nothing at all.
	leave action = iota
	// release is to give the server back, and let the machine go.
	release
	// wait is to tell what has to happen first.
	wait
	// bind is to see to it that the machine has its server.
	bind
)

type decision struct {
	action          action
	reason, message string // of waiting
}

// next decides what is done for a machine. Whatever is already gone holds up no deletion.
func next(f facts) decision {
	spec := f.machine.Spec
	named := spec.ServerRef != nil && spec.ServerRef.Name != ""

	switch {
	case contract.Paused(f.machine, f.cluster):
		return decision{action: leave}
	case !f.machine.DeletionTimestamp.IsZero():
		return decision{action: release}
	case f.owner == nil:
		return decision{wait, v1alpha3.ReasonWaitingForOwner, "waits for its Machine to own it"}
	case f.cluster == nil:
		return decision{wait, v1alpha3.ReasonWaitingForOwner, fmt.Sprintf("waits for the Cluster %q to be there", f.owner.Spec.ClusterName)}
	case !ptr.Deref(f.cluster.Status.Initialization.InfrastructureProvisioned, false):
		return decision{wait, v1alpha3.ReasonWaitingForInfrastructure, "waits for the infrastructure of Cluster " + f.cluster.Name}
	case f.owner.Spec.Bootstrap.DataSecretName == nil:
		return decision{wait, v1alpha3.ReasonWaitingForBootstrapData, "waits for the machine configuration of Machine " + f.owner.Name}
	case !named && (!f.owner.DeletionTimestamp.IsZero() || !f.cluster.DeletionTimestamp.IsZero()):
		return decision{wait, v1alpha3.ReasonGoes, "takes no server any more: its Machine or its Cluster is deleted"}
	case !named && (spec.ServerClassRef == nil || spec.ServerClassRef.Name == ""):
		return decision{wait, v1alpha3.ReasonNothingNamed, "names no server; set spec.serverClassRef or spec.serverRef"}
	default:
		return decision{action: bind}
	}
}
