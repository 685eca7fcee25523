// Package controlplane makes the machines of the control planes of Talos clusters, has one of them begin the etcd cluster, and keeps
// etcd's majority while machines come and go. By the contract of Cluster API's control plane providers, and in the shapes of the
// upstream provider, so that a cluster that it made goes on here.
//
// What to do is decided by next alone, from facts; the reconciler gathers these and does one thing at a time. Where there is no server
// to replace a machine with, Kubernetes is upgraded on the machines as they are, as is Talos when that is asked for.
package controlplane

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	infrav1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// New prepares the controller of TalosControlPlanes; their templates need none. The client has the rights of
// bootstrap.TalosControlPlane.
func New(c provider.Config) *provider.Controllers {
	return provider.New(c, provider.Provider{
		Name: "talos-control-plane", Namespace: "cacppt-system", Lease: "controller-leader-election-cacppt",
		Kinds: []schema.GroupVersionResource{v1alpha3.GroupVersion.WithResource("taloscontrolplanes")},
		Types: []func(*runtime.Scheme) error{
			v1alpha3.AddToScheme, bootstrap.AddToScheme, clusterv1.AddToScheme, corev1.AddToScheme, infrav1.AddToScheme, metal.AddToScheme,
		},
		Adapt: provider.Lean,
		SetUp: func(_ context.Context, m ctrl.Manager) error { return setUp(m, talosapi.Dial) },
	})
}
