// Package rewipe has clean servers wiped again that people ask it for. They ask by an annotation, which those may write who may
// change servers: writing isClean itself takes rights on the status, with which a server can also be declared clean that is not.
package rewipe

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// eventReason is upstream's of what is done with servers.
const eventReason = "Server Management"

// Reconciler takes up what people ask for.
type Reconciler struct {
	Client client.Client
	Events events.EventRecorder
}

// SetupWithManager lets the controller run.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	asked := predicate.NewPredicateFuncs(func(o client.Object) bool { return wanted(o) })

	err := ctrl.NewControllerManagedBy(m).
		Named("rewipe").
		For(&v1alpha2.Server{}, builder.WithPredicates(asked)).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add controller of requested wipes: %w", err)
	}

	return nil
}

func wanted(o client.Object) bool {
	_, ok := o.GetAnnotations()[v1alpha2.WipeRequestAnnotation]

	return ok
}

// Reconcile implements reconcile.Reconciler. The annotation goes last: after a crash it is still there.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	s := &v1alpha2.Server{}
	if err := r.Client.Get(ctx, request.NamespacedName, s); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}

	if !wanted(s) {
		return reconcile.Result{}, nil
	}

	why := refuse(s)
	if why == "" && s.Status.IsClean {
		if err := r.soil(ctx, s); err != nil {
			return reconcile.Result{}, err
		}
	}

	if err := r.answer(ctx, s); err != nil {
		return reconcile.Result{}, err
	}

	if why != "" {
		r.Events.Eventf(s, nil, corev1.EventTypeWarning, eventReason, "RefuseWipe", "it is not wiped again: %s", why)
	} else {
		r.Events.Eventf(s, nil, corev1.EventTypeNormal, eventReason, "WipeAgain", "it is wiped again, as somebody has asked")
	}

	return reconcile.Result{}, nil
}

// refuse tells why a server is not wiped, whoever asks for it.
func refuse(s *v1alpha2.Server) string {
	switch {
	case !s.DeletionTimestamp.IsZero():
		return "it is being deleted"
	case !s.Spec.Accepted:
		return "it is not accepted"
	case s.Status.InUse:
		return "it is in use"
	default:
		return ""
	}
}

// soil says that a server is not clean. The lock keeps it from one that has been allocated meanwhile.
func (r *Reconciler) soil(ctx context.Context, s *v1alpha2.Server) error {
	before := s.DeepCopy()
	s.Status.IsClean = false

	err := r.Client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("have server %s wiped again: %w", s.Name, err)
	}

	return nil
}

// answer takes the request away.
func (r *Reconciler) answer(ctx context.Context, s *v1alpha2.Server) error {
	before := s.DeepCopy()
	delete(s.Annotations, v1alpha2.WipeRequestAnnotation)

	if err := r.Client.Patch(ctx, s, client.MergeFrom(before)); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("take up the wipe of server %s: %w", s.Name, err)
	}

	return nil
}
