// Package existence keeps an object of a well-known name in existence: it is made when it is missing, at the start and
// after somebody deletes it.
package existence

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Keeper keeps one object in existence.
type Keeper struct {
	reconciler reconcile.Reconciler
	name       string
	kept       atomic.Bool
}

// Watch has the reconciler run for the one object of its name: once at the start, when nothing may be there to watch,
// and whenever it changes.
func Watch(manager ctrl.Manager, object client.Object, reconciler reconcile.Reconciler) (*Keeper, error) {
	start := make(chan event.GenericEvent, 1)
	start <- event.GenericEvent{Object: object}

	keeper := &Keeper{
		reconciler: reconciler,
		name:       reflect.TypeOf(object).Elem().Name() + "-" + object.GetName(),
	}
	named := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == object.GetName() })

	err := ctrl.NewControllerManagedBy(manager).
		Named(keeper.name).
		For(object, builder.WithPredicates(named)).
		WatchesRawSource(source.Channel(start, &handler.EnqueueRequestForObject{})).
		Complete(keeper)

	return keeper, err
}

// Reconcile implements reconcile.Reconciler.
func (k *Keeper) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	result, err := k.reconciler.Reconcile(ctx, request)
	if err == nil {
		k.kept.Store(true)
	}

	return result, err
}

// Ready tells whether the object was seen or made since the start.
func (k *Keeper) Ready() error {
	if !k.kept.Load() {
		return fmt.Errorf("%s has not been seen or made", k.name)
	}

	return nil
}

// Ensure creates the object if it is missing. Afterwards it holds what is stored.
func Ensure(ctx context.Context, c client.Client, object client.Object) error {
	err := c.Get(ctx, client.ObjectKeyFromObject(object), object)
	if !apierrors.IsNotFound(err) {
		return err
	}

	if err := c.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %s: %w", object.GetName(), err)
	}

	return nil
}
