// Package kube runs those of Kubernetes's own controllers that an API without workloads needs: the garbage collector,
// which follows owner references, the namespace controller, which empties namespaces that are deleted, the service
// account controller, which gives each namespace its default account, and the controller of aggregated cluster roles, which
// collects their rules.
package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

const (
	resync = 10 * time.Minute
	// discoveryPeriod is how soon the garbage collector learns of a new custom resource.
	discoveryPeriod = 10 * time.Second
	// namespaceResync is how soon a namespace whose deletion failed is tried again.
	namespaceResync = 5 * time.Minute

	collectorWorkers = 4
	namespaceWorkers = 2
	accountWorkers   = 1
	roleWorkers      = 1
)

// Controllers are Kubernetes's own controllers.
type Controllers struct {
	client   *kubernetes.Clientset
	metadata metadata.Interface
	// synced is true once the informers hold what is there.
	synced atomic.Bool
}

// New prepares the controllers. They act with the rights of the configuration, which must be all of them: they delete
// whatever lost its owner.
func New(config *rest.Config) (*Controllers, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}

	metadata, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make metadata client: %w", err)
	}

	return &Controllers{client: client, metadata: metadata}, nil
}

// Name identifies the component.
func (*Controllers) Name() string { return "kube-controllers" }

// Ready tells whether the controllers have seen what is there.
func (c *Controllers) Ready(context.Context) error {
	if !c.synced.Load() {
		return errors.New("informers have not synced")
	}

	return nil
}

// Run runs the controllers until ctx ends, and until they have settled: one that is stopped before complains that its
// caches could not be synced.
func (c *Controllers) Run(stop context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(stop))
	defer cancel()

	factory := informers.NewSharedInformerFactory(c.client, resync)
	metadataFactory := metadatainformer.NewSharedInformerFactoryWithOptions(c.metadata, resync, metadatainformer.WithTransform(trim))
	started := make(chan struct{})

	served := &settling{ServerResourcesInterface: c.client.Discovery(), news: time.Now()}

	collector, err := c.collector(ctx, metadataOnly{metadataFactory}, started)
	if err != nil {
		return err
	}

	runs, err := c.controllers(ctx, factory)
	if err != nil {
		return err
	}

	runs = append(runs,
		func(ctx context.Context) { collector.Run(ctx, collectorWorkers, discoveryPeriod) },
		func(ctx context.Context) { collector.Sync(ctx, served, discoveryPeriod) },
	)

	factory.Start(ctx.Done())
	metadataFactory.Start(ctx.Done())
	close(started)

	var running sync.WaitGroup
	for _, run := range runs {
		running.Go(func() { run(ctx) })
	}

	factory.WaitForCacheSync(stop.Done())
	c.synced.Store(stop.Err() == nil)

	<-stop.Done()
	c.synced.Store(false)
	served.settle(func() bool { return collector.IsSynced(klog.Background()) })
	cancel()
	running.Wait()
	factory.Shutdown()
	metadataFactory.Shutdown()

	return nil
}

// metadataOnly has the garbage collector know of objects no more than their metadata. Of those that have Go types, of which Secrets with
// machine configurations are the largest, it would know everything.
type metadataOnly struct {
	factory metadatainformer.SharedInformerFactory
}

// ForResource implements informerfactory.InformerFactory.
func (m metadataOnly) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	return m.factory.ForResource(resource), nil
}

// Start implements informerfactory.InformerFactory.
func (m metadataOnly) Start(stop <-chan struct{}) { m.factory.Start(stop) }

// trim takes from the metadata of an object what the garbage collector does not go by, which is most of it.
func trim(object any) (any, error) {
	if o, ok := object.(*metav1.PartialObjectMetadata); ok {
		o.ManagedFields, o.Labels, o.Annotations = nil, nil, nil
	}

	return object, nil
}

// collector returns the garbage collector.
func (c *Controllers) collector(ctx context.Context, factory informerfactory.InformerFactory, started <-chan struct{},
) (*garbagecollector.GarbageCollector, error) {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))

	collector, err := garbagecollector.NewGarbageCollector(ctx, c.client, c.metadata, mapper,
		garbagecollector.DefaultIgnoredResources(), factory, started)
	if err != nil {
		return nil, fmt.Errorf("make garbage collector: %w", err)
	}

	return collector, nil
}

// controllers returns what to run besides the garbage collector.
func (c *Controllers) controllers(ctx context.Context, factory informers.SharedInformerFactory) ([]func(context.Context), error) {
	accounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), factory.Core().V1().ServiceAccounts(),
		factory.Core().V1().Namespaces(), c.client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return nil, fmt.Errorf("make service account controller: %w", err)
	}

	namespaces := namespace.NewNamespaceController(ctx, c.client, c.metadata, c.client.Discovery().ServerPreferredNamespacedResources,
		factory.Core().V1().Namespaces(), namespaceResync, corev1.FinalizerKubernetes)

	roles := clusterroleaggregation.NewClusterRoleAggregation(factory.Rbac().V1().ClusterRoles(), c.client.RbacV1())

	return []func(context.Context){
		func(ctx context.Context) { namespaces.Run(ctx, namespaceWorkers) },
		func(ctx context.Context) { accounts.Run(ctx, accountWorkers) },
		func(ctx context.Context) { roles.Run(ctx, roleWorkers) },
	}, nil
}
