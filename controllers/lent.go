package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lent is a cache as some controllers have it that end before it does. What they watch it for ends with them.
type lent struct {
	cache.Cache

	mu     sync.Mutex
	remove []func() error
}

// Start implements cache.Cache. The cache runs already.
func (l *lent) Start(ctx context.Context) error {
	<-ctx.Done()

	l.mu.Lock()
	defer l.mu.Unlock()

	var errs []error
	for _, remove := range l.remove {
		errs = append(errs, remove())
	}

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("give the cache back: %w", err)
	}

	return nil
}

// GetInformer implements cache.Cache.
func (l *lent) GetInformer(ctx context.Context, object client.Object, options ...cache.InformerGetOption) (cache.Informer, error) {
	informer, err := l.Cache.GetInformer(ctx, object, options...)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is the cache's
	}

	return lentInformer{informer, l}, nil
}

// lentInformer is one of a lent cache.
type lentInformer struct {
	cache.Informer

	of *lent
}

// AddEventHandlerWithOptions implements cache.Informer. It is the way by which controllers watch.
func (i lentInformer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, options toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	registration, err := i.Informer.AddEventHandlerWithOptions(handler, options)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is the cache's
	}

	i.of.mu.Lock()
	defer i.of.mu.Unlock()

	i.of.remove = append(i.of.remove, func() error { return i.Informer.RemoveEventHandler(registration) })

	return registration, nil
}
