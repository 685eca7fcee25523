package clusterapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
	runtimev1 "sigs.k8s.io/cluster-api/api/runtime/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/remote"
	"sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/util/index"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

const (
	// name is what Cluster API's manager calls itself to the API servers that it talks to.
	name = "cluster-api-controller-manager"

	resync = 10 * time.Minute

	// Workers of each reconciler where nobody says: ten are upstream's default, and each is a goroutine that waits.
	Workers = 10

	// requests a second that all reconcilers together may send, and in a burst: upstream's manager has the same.
	requests      = 100
	requestsBurst = 200
)

// New prepares Cluster API's reconcilers. The client has the rights of bootstrap.ClusterAPIControllers.
func New(c provider.Config) *provider.Controllers {
	return provider.New(c, provider.Provider{
		Name: "cluster-api", Namespace: "capi-system", Lease: "controller-leader-election-capi", Kinds: beginnings(),
		Types: []func(*runtime.Scheme) error{
			clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, clusterv1.AddToScheme, addonsv1.AddToScheme, ipamv1.AddToScheme,
			runtimev1.AddToScheme,
		},
		Adapt: adapt, SetUp: func(ctx context.Context, m ctrl.Manager) error { return setUp(ctx, m, cmp.Or(c.Workers, Workers)) },
	})
}

// adapt has the manager as upstream has it.
func adapt(client *rest.Config, o *ctrl.Options) {
	client.QPS, client.Burst, client.UserAgent = requests, requestsBurst, remote.DefaultClusterAPIUserAgent(name)
	// Another name each time, by which its informers are told apart: a second manager with the same would end the process.
	o.Cache, o.Client = setup.ManagerCacheOptions(o.Scheme, name+"-"+rand.Text(), "", resync), setup.ManagerClientOptions()
	o.Controller.UsePriorityQueue = ptr.To(true)
}

func setUp(ctx context.Context, manager ctrl.Manager, workers int) error {
	if err := index.AddDefaultIndexes(ctx, manager); err != nil {
		return fmt.Errorf("add indexes: %w", err)
	}

	return addReconcilers(ctx, manager, workers)
}
