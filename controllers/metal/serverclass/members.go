package serverclass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	// atOnce is how many classes are listed at the same time, so that one with thousands of servers holds up no other.
	atOnce = 4
	// restEach is how long a class is left alone for each of its servers after its status was written, which holds all their
	// names: one of 10,000 is half a megabyte to write, to keep and to tell everybody, and is written at most four times a
	// second, so that a change is in it within a second all the same; one of a hundred, four hundred times.
	restEach = 25 * time.Microsecond
)

// Lister keeps each class's status telling which servers belong to it, and accepts servers for classes that say so.
type Lister struct {
	Client client.Client
	Events events.EventRecorder

	index *index
	rests sync.Map // until when each class is left alone, by its name
}

// SetupWithManager lets the reconciler run.
func (l *Lister) SetupWithManager(manager ctrl.Manager) error {
	l.index = newIndex()

	err := ctrl.NewControllerManagedBy(manager).
		Named("serverclass").
		For(&v1alpha2.ServerClass{}).
		Watches(&v1alpha2.Server{}, l.whenServersChange()).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(l)
	if err != nil {
		return fmt.Errorf("add server class controller: %w", err)
	}

	return nil
}

// Reconcile implements reconcile.Reconciler.
func (l *Lister) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	class := &v1alpha2.ServerClass{}
	if err := l.Client.Get(ctx, request.NamespacedName, class); err != nil {
		if apierrors.IsNotFound(err) {
			l.index.forget(request.Name)
			l.rests.Delete(request.Name)
		}

		return reconcile.Result{}, client.IgnoreNotFound(err)
	}

	if until, ok := l.rests.Load(class.Name); ok {
		if left := time.Until(until.(time.Time)); left > 0 { //nolint:forcetypeassert // nothing else is stored
			return reconcile.Result{RequeueAfter: left}, nil
		}
	}

	now, err := l.index.list(class, func() ([]v1alpha2.Server, error) {
		servers := &v1alpha2.ServerList{}
		if err := l.Client.List(ctx, servers, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list servers: %w", err)
		}

		return servers.Items, nil
	})

	var misunderstood *misunderstoodError

	switch {
	case errors.As(err, &misunderstood): // upstream accepts such a class; it has no servers
		ctrl.LoggerFrom(ctx).Info("the class cannot be understood", "class", class.Name, "err", err.Error())

		return reconcile.Result{}, l.write(ctx, class, membership.Members{Available: []string{}, InUse: []string{}})
	case err != nil:
		return reconcile.Result{}, err
	}

	return reconcile.Result{}, errors.Join(l.write(ctx, class, now.Members), l.accept(ctx, class, now))
}

// accept accepts those servers that the class is to accept.
func (l *Lister) accept(ctx context.Context, class *v1alpha2.ServerClass, now listing) error {
	var problems []error

	for _, name := range now.accepts {
		if err := l.acceptOne(ctx, class, now.matcher, name); err != nil {
			problems = append(problems, fmt.Errorf("accept server %s: %w", name, err))
		}
	}

	return errors.Join(problems...)
}

func (l *Lister) acceptOne(ctx context.Context, class *v1alpha2.ServerClass, matcher *membership.Matcher, name string) error {
	s := &v1alpha2.Server{}
	if err := l.Client.Get(ctx, client.ObjectKey{Name: name}, s); err != nil || !matcher.Accepts(s) {
		return client.IgnoreNotFound(err)
	}

	before := s.DeepCopy()
	s.Spec.Accepted = true

	// With a lock: what the class went by is what is accepted.
	if err := l.Client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}

	l.Events.Eventf(s, class, corev1.EventTypeNormal, "Server Acceptance", "Accept", "accepted, because class %s says so", class.Name)

	return nil
}

func (l *Lister) write(ctx context.Context, class *v1alpha2.ServerClass, members membership.Members) error {
	if slices.Equal(class.Status.ServersAvailable, members.Available) && slices.Equal(class.Status.ServersInUse, members.InUse) {
		return nil
	}

	// Whole lists, not what has changed: to compare thousands of names is more work than to send them.
	patch, err := json.Marshal(map[string]v1alpha2.ServerClassStatus{
		"status": {ServersAvailable: members.Available, ServersInUse: members.InUse},
	})
	if err != nil {
		return fmt.Errorf("encode status of class %s: %w", class.Name, err)
	}

	if err := l.Client.Status().Patch(ctx, class, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("write status of class %s: %w", class.Name, err))
	}

	rest := time.Duration(len(members.Available)+len(members.InUse)) * restEach
	l.rests.Store(class.Name, time.Now().Add(rest))

	return nil
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// whenServersChange has those classes looked at again that a server joins, leaves, or changes its place in.
func (l *Lister) whenServersChange() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { l.changed(nil, e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { l.changed(e.ObjectOld, e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { look(q, l.index.remove(e.Object.GetName())) },
	}
}

func (l *Lister) changed(before, after client.Object, q queue) {
	old, _ := before.(*v1alpha2.Server)

	if now, ok := after.(*v1alpha2.Server); ok {
		look(q, l.index.change(now, old != nil && sameToClasses(old, now)))
	}
}

func look(q queue, classes []string) {
	for _, name := range classes {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
	}
}

// sameToClasses tells whether nothing of a server has changed that a class without an expression could go by, and nothing
// of its spec at all. One that was deleted and made again between two looks is another one.
func sameToClasses(old, now *v1alpha2.Server) bool {
	return old.UID == now.UID && (old.Status.AcceptedAt == nil) == (now.Status.AcceptedAt == nil) &&
		old.Status.InUse == now.Status.InUse && old.Duplicate() == now.Duplicate() && old.Generation == now.Generation &&
		apiequality.Semantic.DeepEqual(old.Labels, now.Labels)
}
