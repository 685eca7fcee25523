package clusterapi

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// beginnings are the kinds that are reconciled for their own sake, and those with finalizers that only the reconcilers
// remove, which may outlive their cluster.
func beginnings() []schema.GroupVersionResource {
	kinds := []schema.GroupVersionResource{addonsv1.GroupVersion.WithResource("clusterresourcesets")}
	for _, name := range []string{"clusters", "clusterclasses", "machines", "machinesets", "machinedeployments", "machinepools"} {
		kinds = append(kinds, clusterv1.GroupVersion.WithResource(name))
	}

	return kinds
}

// awaitWork waits until there is something to reconcile, or ctx ends. Until then the reconcilers, with their watches of
// every kind, would only cost memory.
func awaitWork(ctx context.Context, config *rest.Config) error {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make metadata client: %w", err)
	}

	ctx, found := context.WithCancel(ctx)
	defer found()

	var watching sync.WaitGroup

	for _, kind := range beginnings() {
		informer := metadatainformer.NewFilteredMetadataInformer(client, kind, metav1.NamespaceAll, resync, cache.Indexers{}, nil).Informer()

		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { found() }}); err != nil {
			return fmt.Errorf("watch %s: %w", kind.Resource, err)
		}

		watching.Go(func() { informer.RunWithContext(ctx) })
	}

	watching.Wait()

	return nil
}
