// Package infrastructure runs the controllers by which Cluster API's machines are servers: one folder each below this one.
package infrastructure

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/metalcluster"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/metalmachine"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/metalremediation"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/node"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/secrets"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/serverbinding"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// New prepares the controllers of MetalClusters, MetalMachines, MetalRemediations and ServerBindings, of
// their Nodes, and of the secrets by which these are reset. The client has the rights of bootstrap.Infrastructure.
func New(c provider.Config) *provider.Controllers {
	var kinds []schema.GroupVersionResource
	for _, name := range []string{"metalclusters", "metalmachines", "serverbindings"} {
		kinds = append(kinds, v1alpha3.GroupVersion.WithResource(name))
	}

	return provider.New(c, provider.Provider{
		Name: "infrastructure", Namespace: "sidero-system", Lease: "controller-leader-election-capm", Kinds: kinds,
		Types: []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha3.AddToScheme, metal.AddToScheme, clusterv1.AddToScheme},
		Adapt: func(client *rest.Config, o *ctrl.Options) {
			provider.Lean(client, o)
			secrets.Cache(&o.Cache)
		},
		SetUp: func(_ context.Context, m ctrl.Manager) error {
			return errors.Join(
				metalcluster.SetupWithManager(m), metalmachine.SetupWithManager(m), metalremediation.SetupWithManager(m),
				node.SetupWithManager(m), secrets.SetupWithManager(m), serverbinding.SetupWithManager(m),
			)
		},
	})
}
