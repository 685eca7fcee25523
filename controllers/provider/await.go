package provider

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const resync = 10 * time.Minute

// await waits until there is an object of one of the kinds, or ctx ends. Until then controllers, with their watches of every
// kind that they read, would only cost memory.
func await(ctx context.Context, config *rest.Config, kinds ...schema.GroupVersionResource) error {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make metadata client: %w", err)
	}

	ctx, found := context.WithCancel(ctx)
	defer found()

	var watching sync.WaitGroup

	for _, kind := range kinds {
		informer := metadatainformer.NewFilteredMetadataInformer(client, kind, metav1.NamespaceAll, resync, cache.Indexers{}, nil).Informer()

		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { found() }}); err != nil {
			return fmt.Errorf("watch %s: %w", kind.Resource, err)
		}

		watching.Go(func() { informer.RunWithContext(ctx) })
	}

	watching.Wait()

	return nil
}
