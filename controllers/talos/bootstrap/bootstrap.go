// Package bootstrap makes the machine configurations of Talos nodes: for each TalosConfig a Secret with the bootstrap data of
// its Machine, by the contract of Cluster API's bootstrap providers, and for each cluster one Secret with what its nodes share.
// The Secrets have the names and shapes of the upstream provider, so a cluster that it made goes on here.
//
// What to do is decided by next alone, and what a configuration is made of by describe; the reconciler does the rest.
package bootstrap

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// New prepares the controller of TalosConfigs; TalosConfigTemplates need none. The client has the rights of
// bootstrap.TalosBootstrap.
func New(c provider.Config) *provider.Controllers {
	return provider.New(c, provider.Provider{
		Name: "talos-bootstrap", Namespace: "cabpt-system", Lease: "controller-leader-election-cabpt",
		Kinds: []schema.GroupVersionResource{v1alpha3.GroupVersion.WithResource("talosconfigs")},
		Types: []func(*runtime.Scheme) error{v1alpha3.AddToScheme, clusterv1.AddToScheme, corev1.AddToScheme},
		Adapt: provider.Lean,
		SetUp: func(_ context.Context, m ctrl.Manager) error { return setUp(m) },
	})
}
