package clusterapi

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/core/reconcilers/cluster"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterclass"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourceset"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourcesetbinding"
	"sigs.k8s.io/cluster-api/core/reconcilers/machine"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinedeployment"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinehealthcheck"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinepool"
	"sigs.k8s.io/cluster-api/core/reconcilers/machineset"
	topologycluster "sigs.k8s.io/cluster-api/core/reconcilers/topology/cluster"
	topologymachinedeployment "sigs.k8s.io/cluster-api/core/reconcilers/topology/machinedeployment"
	topologymachineset "sigs.k8s.io/cluster-api/core/reconcilers/topology/machineset"
	"sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/feature"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

const (
	// requests a second to the API of each workload cluster, and in a burst; how long it may be out of reach before that is
	// shown. All as in upstream's manager.
	workloadRequests      = 20
	workloadRequestsBurst = 30
	connectionGrace       = 50 * time.Second
	conditionsGrace       = 5 * time.Minute
)

// reconciler is one of upstream's.
type reconciler interface {
	SetupWithManager(context.Context, ctrl.Manager, controller.Options) error
}

// addReconcilers adds those that upstream's manager has. Left out are the migrator of stored objects, because all are
// stored in the newest version, and runtime extensions, which are off upstream too.
func addReconcilers(ctx context.Context, manager ctrl.Manager, workers int) error {
	options := controller.Options{MaxConcurrentReconciles: workers}

	workloads, err := newWorkloads(ctx, manager, options)
	if err != nil {
		return err
	}

	client, reader := manager.GetClient(), manager.GetAPIReader()

	all := []reconciler{
		&cluster.Reconciler{Client: client, APIReader: reader, ClusterCache: workloads, RemoteConnectionGracePeriod: connectionGrace},
		&machine.Reconciler{Client: client, APIReader: reader, ClusterCache: workloads, RemoteConditionsGracePeriod: conditionsGrace},
		&machineset.Reconciler{Client: client, APIReader: reader, ClusterCache: workloads},
		&machinedeployment.Reconciler{Client: client, APIReader: reader},
		&machinehealthcheck.Reconciler{Client: client, ClusterCache: workloads},
		&clusterresourcesetbinding.Reconciler{Client: client},
	}

	if feature.Gates.Enabled(feature.MachinePool) {
		all = append(all, &machinepool.Reconciler{Client: client, APIReader: reader, ClusterCache: workloads})
	}

	if feature.Gates.Enabled(feature.ClusterTopology) {
		all = append(all,
			&clusterclass.Reconciler{Client: client},
			&topologycluster.Reconciler{Client: client, APIReader: reader, ClusterCache: workloads},
			&topologymachinedeployment.Reconciler{Client: client, APIReader: reader},
			&topologymachineset.Reconciler{Client: client, APIReader: reader},
		)
	}

	for _, r := range all {
		if err := r.SetupWithManager(ctx, manager, options); err != nil {
			return fmt.Errorf("set up %T: %w", r, err)
		}
	}

	return addResourceSets(ctx, manager, workloads, options)
}

// newWorkloads is the cache of the workload clusters' APIs.
func newWorkloads(ctx context.Context, manager ctrl.Manager, options controller.Options) (clustercache.ClusterCache, error) {
	secrets, err := setup.CreateSecretCachingClient(manager)
	if err != nil {
		return nil, fmt.Errorf("make client of secrets: %w", err)
	}

	workloads, err := clustercache.SetupWithManager(ctx, manager, clustercache.Options{
		SecretClient: kubeconfigs{secrets},
		Cache:        setup.ClusterCacheCacheOptions(),
		Client:       setup.ClusterCacheClientOptions(name, workloadRequests, workloadRequestsBurst),
	}, options)
	if err != nil {
		return nil, fmt.Errorf("set up cache of workload clusters: %w", err)
	}

	return workloads, nil
}

// addResourceSets adds the reconciler that watches Secrets of every name, of which it keeps the metadata only.
func addResourceSets(ctx context.Context, manager ctrl.Manager, workloads clustercache.ClusterCache, options controller.Options) error {
	secrets, err := cache.New(manager.GetConfig(), cache.Options{
		Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper(), HTTPClient: manager.GetHTTPClient(),
		SyncPeriod: ptr.To(resync), DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("make cache of secrets: %w", err)
	}

	if err := manager.Add(secrets); err != nil {
		return fmt.Errorf("add cache of secrets: %w", err)
	}

	sets := &clusterresourceset.Reconciler{Client: manager.GetClient(), ClusterCache: workloads}
	if err := sets.SetupWithManager(ctx, manager, options, secrets); err != nil {
		return fmt.Errorf("set up %T: %w", sets, err)
	}

	return nil
}
