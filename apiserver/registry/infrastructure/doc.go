// Package infrastructure describes the kinds of infrastructure.cluster.x-k8s.io to the registry: their columns, their
// versions and what their fields may hold.
package infrastructure

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// Group is infrastructure.cluster.x-k8s.io.
func Group() registry.Group {
	return registry.Group{
		Hub:   registry.Version{GroupVersion: v1alpha3.GroupVersion, Types: v1alpha3.Kinds()},
		Older: []registry.Version{{GroupVersion: v1alpha2.GroupVersion, Types: v1alpha2.Kinds()}},
		Kinds: map[string]registry.Definition{
			"MetalCluster":             metalClusters(),
			"MetalClusterTemplate":     metalClusterTemplates(),
			"MetalMachine":             metalMachines(),
			"MetalMachineTemplate":     metalMachineTemplates(),
			"MetalRemediation":         metalRemediations(),
			"MetalRemediationTemplate": metalRemediationTemplates(),
			"ServerBinding":            serverBindings(),
		},
		Labels: labels(),
	}
}

// labels are upstream's own, the one of the contract that upstream does not keep, and the one that clusterctl adds when it
// installs a provider.
func labels() map[string]string {
	version := v1alpha3.GroupVersion.Version

	return map[string]string{
		"app":                         "sidero",
		"cluster.x-k8s.io/provider":   "sidero",
		"cluster.x-k8s.io/v1alpha3":   version,
		"cluster.x-k8s.io/v1alpha4":   version,
		"cluster.x-k8s.io/v1beta1":    version,
		"cluster.x-k8s.io/v1beta2":    version,
		"clusterctl.cluster.x-k8s.io": "", // clusterctl looks only at kinds with it
	}
}

const (
	// category groups the kinds for kubectl get cluster-api, as it does Cluster API's own.
	category = "cluster-api"

	// clusterLabel is how Cluster API marks what belongs to a cluster.
	clusterLabel = "cluster.x-k8s.io/cluster-name"
)
