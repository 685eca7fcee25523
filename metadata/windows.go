package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const writesWithin = 10 * time.Second

// Windows is the component that writes down how boot windows were opened. Whether one is open is decided without it, by what is
// known; that it is written lets the next opening be told from the same one.
type Windows struct {
	// Cache has Servers and ServerBindings, and tells when they change.
	Cache cache.Cache
	// Client writes the status of ServerBindings.
	Client client.Client
	Log    *slog.Logger

	running atomic.Bool
}

// Name identifies the component.
func (*Windows) Name() string { return "boot-windows" }

// Ready tells whether it runs.
func (w *Windows) Ready(context.Context) error {
	if !w.running.Load() {
		return errors.New("boot windows are not written down yet")
	}

	return nil
}

// Run writes until ctx ends.
func (w *Windows) Run(ctx context.Context) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	add := func(o any) {
		if deleted, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = deleted.Obj
		}

		if object, ok := o.(client.Object); ok {
			queue.Add(object.GetName())
		}
	}
	handler := toolscache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, o any) { add(o) }}

	for _, kind := range []client.Object{&v1alpha3.ServerBinding{}, &metal.Server{}} {
		informer, err := w.Cache.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}

		registered, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}

		defer informer.RemoveEventHandler(registered) //nolint:errcheck // the cache has ended
	}

	w.running.Store(true)
	defer w.running.Store(false)

	go func() {
		<-ctx.Done()
		queue.ShutDown()
	}()

	for {
		name, stopped := queue.Get()
		if stopped {
			return nil
		}

		if err := w.keep(ctx, name); err != nil && ctx.Err() == nil {
			w.Log.Warn("boot window not written", "server", name, "error", err)
			queue.AddRateLimited(name)
		} else {
			queue.Forget(name)
		}

		queue.Done(name)
	}
}

func (w *Windows) keep(ctx context.Context, name string) error {
	binding, server := &v1alpha3.ServerBinding{}, &metal.Server{}
	for _, o := range []client.Object{binding, server} {
		if err := w.Cache.Get(ctx, client.ObjectKey{Name: name}, o); err != nil {
			return client.IgnoreNotFound(err)
		}
	}

	window, written := bootwindow.Of(binding, server, time.Now())
	if written {
		return nil
	}

	ctx, stop := context.WithTimeout(ctx, writesWithin)
	defer stop()

	before := binding.DeepCopy()
	binding.Status.BootWindow = &window
	// With a lock: each opening counts once. A conflict means that it changed, which brings it here again.
	err := w.Client.Status().Patch(ctx, binding, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write status of ServerBinding: %w", err)
	}

	return nil
}
