// Package metal describes the kinds of metal.sidero.dev to the registry: their columns, their field selectors and what
// their fields may hold.
package metal

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha1"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// Group is metal.sidero.dev.
func Group() registry.Group {
	return registry.Group{
		Hub:   registry.Version{GroupVersion: v1alpha2.GroupVersion, Types: v1alpha2.Kinds()},
		Older: []registry.Version{{GroupVersion: v1alpha1.GroupVersion, Types: v1alpha1.Kinds()}},
		Kinds: map[string]registry.Definition{
			"Environment": environments(),
			"Server":      servers(),
			"ServerClass": serverClasses(),
		},
		Labels: labels(),
	}
}

// labels are upstream's own and the one that clusterctl adds when it installs a provider. Upstream sets those of Cluster
// API's contracts on all of its kinds alike, so the version they name is that of the infrastructure group.
func labels() map[string]string {
	const contractVersion = "v1alpha3"

	return map[string]string{
		"app":                              "sidero",
		"cluster.x-k8s.io/provider":        "sidero",
		"cluster.x-k8s.io/v1alpha3":        contractVersion,
		"cluster.x-k8s.io/v1alpha4":        contractVersion,
		"cluster.x-k8s.io/v1beta1":         contractVersion,
		"cluster.x-k8s.io/v1beta2":         contractVersion,
		"clusterctl.cluster.x-k8s.io":      "", // clusterctl looks only at kinds with it
		"clusterctl.cluster.x-k8s.io/move": "", // although no Cluster owns them
	}
}

// category groups the native kinds for kubectl get sidero.
const category = "sidero"
