// Package serverclass keeps the ServerClass named any in existence, and its qualifiers empty: every accepted server
// belongs to it.
package serverclass

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/existence"
)

// Reconciler creates the class when it is missing and empties its qualifiers. What else a person sets in it is kept.
type Reconciler struct {
	Client client.Client
}

// SetupWithManager lets the reconciler run.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager) (*existence.Keeper, error) {
	return existence.Watch(manager, Any(), r)
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (reconcile.Result, error) {
	class := Any()
	if err := existence.Ensure(ctx, r.Client, class); err != nil {
		return reconcile.Result{}, err
	}

	if apiequality.Semantic.DeepEqual(class.Spec.Qualifiers, v1alpha2.Qualifiers{}) {
		return reconcile.Result{}, nil
	}

	before := class.DeepCopy()
	class.Spec.Qualifiers = v1alpha2.Qualifiers{}

	if err := r.Client.Patch(ctx, class, client.MergeFrom(before)); err != nil {
		return reconcile.Result{}, fmt.Errorf("empty qualifiers of class %s: %w", class.Name, err)
	}

	return reconcile.Result{}, nil
}

// Any is the class that every accepted server belongs to.
func Any() *v1alpha2.ServerClass {
	return &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: v1alpha2.ServerClassAny}}
}
