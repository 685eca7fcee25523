package serverclass

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Lister keeps each class's status telling which servers belong to it, and accepts servers for classes that say so.
type Lister struct {
	Client client.Client
	Events events.EventRecorder
}

// SetupWithManager lets the reconciler run.
func (l *Lister) SetupWithManager(manager ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(manager).
		Named("serverclass").
		For(&v1alpha2.ServerClass{}).
		Watches(&v1alpha2.Server{}, l.whenServersChange()).
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
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}

	matcher, err := membership.NewMatcher(class.Spec)
	if err != nil { // upstream accepts such a class; it has no servers
		ctrl.LoggerFrom(ctx).Info("the class cannot be understood", "class", class.Name, "err", err.Error())

		return reconcile.Result{}, l.write(ctx, class, membership.Members{Available: []string{}, InUse: []string{}})
	}

	servers := &v1alpha2.ServerList{}
	if err := l.Client.List(ctx, servers, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("list servers: %w", err)
	}

	return reconcile.Result{}, errors.Join(
		l.write(ctx, class, matcher.Members(servers.Items)),
		l.accept(ctx, class, matcher, servers.Items),
	)
}

// accept accepts those servers that the class is to accept.
func (l *Lister) accept(ctx context.Context, class *v1alpha2.ServerClass, matcher *membership.Matcher, servers []v1alpha2.Server) error {
	var problems []error

	for i := range servers {
		if !matcher.Accepts(&servers[i]) {
			continue
		}

		s := servers[i].DeepCopy()
		before := s.DeepCopy()
		s.Spec.Accepted = true

		// With a lock: what the class went by is what is accepted.
		err := l.Client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if err != nil {
			problems = append(problems, client.IgnoreNotFound(fmt.Errorf("accept server %s: %w", s.Name, err)))

			continue
		}

		l.Events.Eventf(s, class, corev1.EventTypeNormal, "Server Acceptance", "Accept", "accepted, because class %s says so", class.Name)
	}

	return errors.Join(problems...)
}

func (l *Lister) write(ctx context.Context, class *v1alpha2.ServerClass, members membership.Members) error {
	before := class.DeepCopy()
	class.Status.ServersAvailable, class.Status.ServersInUse = members.Available, members.InUse

	if slices.Equal(before.Status.ServersAvailable, members.Available) && slices.Equal(before.Status.ServersInUse, members.InUse) {
		return nil
	}

	if err := l.Client.Status().Patch(ctx, class, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("write status of class %s: %w", class.Name, err))
	}

	return nil
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// whenServersChange has those classes listed again that a server joins, leaves, or changes its place in. With a hundred
// classes of thousands of servers, listing all of them for each change would be a second's work.
func (l *Lister) whenServersChange() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { l.enqueue(ctx, q, nil, e.Object) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { l.enqueue(ctx, q, e.Object, nil) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { l.enqueue(ctx, q, e.ObjectOld, e.ObjectNew) },
	}
}

func (l *Lister) enqueue(ctx context.Context, q queue, before, after client.Object) {
	old, _ := before.(*v1alpha2.Server)
	now, _ := after.(*v1alpha2.Server)

	if old != nil && now != nil && sameToClasses(old, now) {
		return
	}

	classes := &v1alpha2.ServerClassList{}
	if err := l.Client.List(ctx, classes, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list classes")

		return
	}

	for i := range classes.Items {
		matcher, err := membership.NewMatcher(classes.Items[i].Spec)
		if err != nil {
			continue
		}

		if old != nil && matcher.Matches(old) || now != nil && (matcher.Matches(now) || matcher.Accepts(now)) {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&classes.Items[i])})
		}
	}
}

// sameToClasses tells whether nothing of a server has changed that a class without an expression could go by, and nothing
// of its spec at all.
func sameToClasses(old, now *v1alpha2.Server) bool {
	return old.Status.InUse == now.Status.InUse && old.Duplicate() == now.Duplicate() && old.Generation == now.Generation &&
		apiequality.Semantic.DeepEqual(old.Labels, now.Labels)
}
