package server

import (
	"context"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// rests tells whether a server waits to be accepted, its status tells so, and nothing else is to be done, by what the cache has: a
// hall of machines that registers is a thousand of these, each changed five times. The cache may be behind, but to do nothing is safe
// whatever it missed: that is on the way, and has the server looked at again.
func (r *Reconciler) rests(ctx context.Context, key client.ObjectKey) (rests bool, after reconcile.Result, err error) {
	s := &v1alpha2.Server{}
	if err := r.client.Get(ctx, key, s); err != nil {
		return false, after, client.IgnoreNotFound(err)
	}

	_, asked := s.Annotations[v1alpha2.PowerRequestAnnotation]
	if s.Spec.Accepted || s.Status.InUse || asked || !s.DeletionTimestamp.IsZero() ||
		!controllerutil.ContainsFinalizer(s, v1alpha2.ServerFinalizer) || membership.Relabel(s) {
		return false, after, nil
	}

	if err := r.client.Get(ctx, key, &v1alpha3.ServerBinding{}); !apierrors.IsNotFound(err) {
		if err != nil {
			err = fmt.Errorf("read binding of server %s: %w", s.Name, err)
		}

		return false, after, err
	}

	view := r.look(ctx, s)
	view.started = r.startedAt(s)
	decision := Next(facts(s, nil, view, r.config.RebootTimeout))
	told := s.DeepCopy()
	r.write(told, result{decision: decision, view: view})

	rests = decision.Action == NoAction && !decision.Released && decision.Refused == "" && unheard(s, time.Now()) == 0 &&
		apiequality.Semantic.DeepEqual(told.Status, s.Status)

	return rests, again(decision, view, nil), nil
}
