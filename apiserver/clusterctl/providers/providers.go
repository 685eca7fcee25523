// Package providers names the Cluster API providers that the appliance takes the place of, as clusterctl knows them.
package providers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
)

// Releases of upstream whose API the appliance serves. Those of Sidero and the Talos providers were made together, for
// Talos 1.13.
const (
	ClusterAPI        = "v1.14.2"
	Sidero            = "v0.6.13"
	TalosBootstrap    = "v0.6.12"
	TalosControlPlane = "v0.5.13"
)

// Contract is the version of Cluster API's contract that they all keep. Those of Sidero and the Talos providers keep the
// one before it as well, as upstream's releases do.
const Contract = "v1beta2"

// Label is Cluster API's label that tells which provider an object belongs to.
const Label = "cluster.x-k8s.io/provider"

// All returns the entries that clusterctl would write into its inventory if it installed the providers, from core to
// infrastructure. An entry's name is the provider's label, such as infrastructure-sidero.
func All() []clusterctlv1.Provider {
	return []clusterctlv1.Provider{
		entry("cluster-api", clusterctlv1.CoreProviderType, "capi-system", ClusterAPI),
		entry("talos", clusterctlv1.BootstrapProviderType, "cabpt-system", TalosBootstrap),
		entry("talos", clusterctlv1.ControlPlaneProviderType, "cacppt-system", TalosControlPlane),
		entry("sidero", clusterctlv1.InfrastructureProviderType, "sidero-system", Sidero),
	}
}

func entry(name string, kind clusterctlv1.ProviderType, namespace, version string) clusterctlv1.Provider {
	label := clusterctlv1.ManifestLabel(name, kind)

	return clusterctlv1.Provider{
		TypeMeta: metav1.TypeMeta{APIVersion: clusterctlv1.GroupVersion.String(), Kind: "Provider"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      label,
			Labels: map[string]string{
				clusterctlv1.ClusterctlLabel:     "",
				clusterctlv1.ClusterctlCoreLabel: clusterctlv1.ClusterctlCoreLabelInventoryValue,
				Label:                            label,
			},
		},
		ProviderName: name,
		Type:         string(kind),
		Version:      version,
	}
}
