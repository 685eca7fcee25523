package bootstrap

import (
	"cmp"

	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// action is what to do about a TalosConfig.
type action string

const (
	// release lets a TalosConfig go that is deleted. Its Secret follows its owner.
	release action = "release"
	// leave does nothing: it is paused.
	leave action = "leave"
	// wait does nothing until something else changes.
	wait action = "wait"
	// adopt takes over the Secret that the Machine already has: the status did not survive a move or a restore.
	adopt action = "adopt"
	// generate makes the configuration.
	generate action = "generate"
	// keep looks after what has been made.
	keep action = "keep"
)

// facts are what a decision is made from. What is not there is nil.
type facts struct {
	config  *v1alpha3.TalosConfig
	machine *clusterv1.Machine
	cluster *clusterv1.Cluster
}

// decision is what to do, and, when that is to wait, what for.
type decision struct {
	action          action
	reason, message string
}

// next decides what to do about a TalosConfig.
func next(f facts) decision {
	made := f.config.Status.Ready && ptr.Deref(f.config.Status.DataSecretName, "") != ""

	switch {
	case f.config.DeletionTimestamp != nil:
		return decision{action: release}
	case made && (f.machine == nil || f.cluster == nil):
		return decision{action: leave}
	case f.machine == nil:
		return decision{wait, v1alpha3.ReasonWaitingForOwner, "no Machine owns this object yet"}
	case f.cluster == nil:
		return decision{wait, v1alpha3.ReasonWaitingForOwner, "Cluster " + cmp.Or(f.machine.Spec.ClusterName, "(none)") + " does not exist yet"}
	case contract.Paused(f.config, f.cluster):
		return decision{action: leave}
	case made:
		return decision{action: keep}
	case !ptr.Deref(f.cluster.Status.Initialization.InfrastructureProvisioned, false):
		return decision{wait, v1alpha3.ReasonWaitingForInfrastructure, "the infrastructure of the Cluster is not ready"}
	case ptr.Deref(f.machine.Spec.Bootstrap.DataSecretName, "") != "":
		return decision{action: adopt}
	case f.config.Spec.GenerateType != v1alpha3.GenerateNone && !f.cluster.Spec.ControlPlaneEndpoint.IsValid():
		return decision{wait, v1alpha3.ReasonWaitingForEndpoint, "the Cluster has no control plane endpoint yet"}
	default:
		return decision{action: generate}
	}
}
