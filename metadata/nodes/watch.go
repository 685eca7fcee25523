package nodes

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// Watch calls a function when the end of any machine comes, changes or goes, until the context ends.
func Watch(ctx context.Context, objects cache.Cache, changed func()) error {
	informer, err := objects.GetInformer(ctx, &v1alpha3.ServerBinding{})
	if err != nil {
		return fmt.Errorf("watch server bindings: %w", err)
	}

	registered, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(was, now any) { changedEnd(was, now, changed) },
		DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return fmt.Errorf("watch server bindings: %w", err)
	}

	context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registered) }) //nolint:errcheck // the cache has ended

	return nil
}

func changedEnd(was, now any, changed func()) {
	before, known := was.(*v1alpha3.ServerBinding)
	after, ok := now.(*v1alpha3.ServerBinding)

	if !known || !ok || before.Spec.SideroLink != after.Spec.SideroLink {
		changed()
	}
}
