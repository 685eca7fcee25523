package bootstrap

import (
	"slices"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// describe is the node that a machine is to be.
func describe(f facts) machineconfig.Node {
	cluster, network := f.cluster.Spec, f.cluster.Spec.ClusterNetwork

	return machineconfig.Node{
		Role: string(f.config.Spec.GenerateType),
		Cluster: machineconfig.Cluster{
			Name: f.cluster.Name, Host: cluster.ControlPlaneEndpoint.Host, Port: int(cluster.ControlPlaneEndpoint.Port),
			DNSDomain: network.ServiceDomain, Pods: network.Pods.CIDRBlocks, Services: network.Services.CIDRBlocks,
		},
		TalosVersion:      f.config.Spec.TalosVersion,
		KubernetesVersion: f.machine.Spec.Version,
		Hostname:          hostname(f),
	}
}

func hostname(f facts) string {
	switch f.config.Spec.Hostname.Source {
	case v1alpha3.HostnameFromMachine:
		return f.machine.Name
	case v1alpha3.HostnameFromInfrastructure:
		return f.machine.Spec.InfrastructureRef.Name
	default:
		return ""
	}
}

func patches(spec v1alpha3.TalosConfigSpec) machineconfig.Patches {
	found := machineconfig.Patches{Strategic: spec.StrategicPatches}
	for _, patch := range spec.ConfigPatches {
		found.Operations = append(found.Operations, machineconfig.Operation{Op: patch.Op, Path: patch.Path, Value: patch.Value.Raw})
	}

	return found
}

// endpoints are where the nodes of a control plane are reached.
func endpoints(machines []clusterv1.Machine) []string {
	found := []string{}

	for _, machine := range machines {
		if machine.DeletionTimestamp != nil {
			continue
		}

		for _, address := range machine.Status.Addresses {
			if address.Type == clusterv1.MachineExternalIP || address.Type == clusterv1.MachineInternalIP {
				found = append(found, address.Address)
			}
		}
	}

	slices.Sort(found)

	return slices.Compact(found)
}

// reaches tells whether a node takes part in the control plane, whose nodes talosctl is pointed at.
func reaches(spec v1alpha3.TalosConfigSpec) bool {
	return spec.GenerateType == v1alpha3.GenerateControlPlane || spec.GenerateType == v1alpha3.GenerateInit
}
