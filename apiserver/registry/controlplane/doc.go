// Package controlplane describes the kinds of controlplane.cluster.x-k8s.io to the registry: their columns and what their fields may
// hold.
package controlplane

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// Group is controlplane.cluster.x-k8s.io.
func Group() registry.Group {
	return registry.Group{
		Hub: registry.Version{GroupVersion: v1alpha3.GroupVersion, Types: v1alpha3.Kinds()},
		Kinds: map[string]registry.Definition{
			"TalosControlPlane":         talosControlPlanes(),
			"TalosControlPlaneTemplate": talosControlPlaneTemplates(),
		},
		Labels: labels(),
	}
}

// labels are upstream's own, but for one, and the one that clusterctl adds when it installs a provider.
//
// Left out is the label of Cluster API's contract v1beta1. The kinds keep that contract too, but Cluster API 1.14 chooses
// among the contracts of one version by chance, for control planes only, and with v1beta1 it looks for the infrastructure
// of the machines in another place: reconciling a ClusterClass would fail now and then. v1beta2 is known since Cluster API
// 1.11.
func labels() map[string]string {
	version := v1alpha3.GroupVersion.Version

	return map[string]string{
		"cluster.x-k8s.io/provider":   "control-plane-talos",
		"cluster.x-k8s.io/v1alpha3":   version,
		"cluster.x-k8s.io/v1alpha4":   version,
		"cluster.x-k8s.io/v1beta2":    version,
		"clusterctl.cluster.x-k8s.io": "", // clusterctl looks only at kinds with it
	}
}

// category groups the kinds for kubectl get cluster-api, as it does Cluster API's own.
const category = "cluster-api"
