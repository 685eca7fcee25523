package environment

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// looksEvery is how often an Environment's files are looked for on the disk: somebody may have removed them, or changed one
// that a file:// URL names.
const looksEvery = time.Minute

// Owners of wanted files. A name of an object has no slash.
const (
	environmentOwner = "environment/"
	upgradeOwner     = "upgrade/"
)

// Reconciler asks for the files of each Environment and tells of them in its status. What it tells is what is on the disk
// now, so that an appliance that has lost its files says so, and gets them again.
type Reconciler struct {
	client client.Client
	assets assets
	events events.EventRecorder
	teller teller
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	owner := environmentOwner + request.Name

	e := &v1alpha2.Environment{}
	if err := r.client.Get(ctx, request.NamespacedName, e); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.assets.Want(owner)
		}

		return reconcile.Result{}, client.IgnoreNotFound(err)
	}

	r.assets.Want(owner, Refs(e)...)

	return reconcile.Result{RequeueAfter: looksEvery}, r.record(ctx, e)
}

// record writes the status if anything in it is new.
func (r *Reconciler) record(ctx context.Context, e *v1alpha2.Environment) error {
	before := e.DeepCopy()
	e.Status.Conditions = r.teller.conditions(e)

	if apiequality.Semantic.DeepEqual(before.Status, e.Status) {
		return nil
	}

	// With a lock: what is known of it may be older than what was written last, and would be told twice.
	err := r.client.Status().Patch(ctx, e, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // the change brings it here again
	}

	if err != nil {
		return fmt.Errorf("write status of environment %s: %w", e.Name, err)
	}

	r.tell(before, e)

	return nil
}

// tell records Events about what is new: a file that cannot be had, for another reason than before, and all being here.
func (r *Reconciler) tell(before, e *v1alpha2.Environment) {
	reasons := map[v1alpha2.Asset]string{}
	for _, c := range before.Status.Conditions {
		reasons[c.Asset] = c.Reason
	}

	for _, c := range e.Status.Conditions {
		if c.Status == string(metav1.ConditionFalse) && failed(c.Reason) && reasons[c.Asset] != c.Reason {
			r.events.Eventf(e, nil, corev1.EventTypeWarning, eventAssets, action(e, c), "%s: %.900s", c.Reason, c.Message)
		}
	}

	if e.Ready() && !before.Ready() {
		r.events.Eventf(e, nil, corev1.EventTypeNormal, eventAssets, "Download", "all files are here")
	}
}

// action tells the Events of an Environment apart: the recorder counts those of one action as one, whatever they say.
func action(e *v1alpha2.Environment, c v1alpha2.AssetCondition) string {
	if c.Asset == e.Spec.Kernel.Asset {
		return "Kernel" + c.Reason
	}

	return "Initrd" + c.Reason
}
