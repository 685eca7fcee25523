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
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/existence"
)

const (
	// looksAgain is how often an upgrade looks whether its files have come.
	looksAgain = 5 * time.Second
	// tellsAgain is how often it tells that they cannot be had: Events do not stay.
	tellsAgain = time.Hour
)

// Reasons of Events.
const (
	eventAssets  = "Environment Assets"
	eventUpgrade = "Environment Upgrade"
)

// Defaults keeps the default Environment of one architecture. It makes it when it is missing.
//
// Upstream never changes one that exists, and people were left behind on an old Talos. This one is brought up to date when
// the appliance comes with another release, or is told another place of the releases, but only while nobody has edited it:
// the annotation that was written with it holds a digest of its spec. An edit of the spec, and removing the annotation, make
// it the user's for good. The new files are downloaded first, so the Environment can be booted all the time, also where there
// is no way to the internet.
type Defaults struct {
	client       client.Client
	assets       assets
	events       events.EventRecorder
	teller       teller
	releases     string
	architecture string

	// told is what was last told of an upgrade that waits, and toldAt when. There is one worker.
	told   string
	toldAt time.Time
}

// Reconcile implements reconcile.Reconciler.
func (d *Defaults) Reconcile(ctx context.Context, _ ctrl.Request) (reconcile.Result, error) {
	wanted := Default(d.releases, d.architecture)

	stored := wanted.DeepCopy()
	if err := existence.Ensure(ctx, d.client, stored); err != nil {
		return reconcile.Result{}, err
	}

	owner := upgradeOwner + stored.Name
	if !untouched(stored) || apiequality.Semantic.DeepEqual(stored.Spec, wanted.Spec) {
		d.assets.Want(owner)

		return reconcile.Result{}, nil
	}

	refs := Refs(wanted)
	d.assets.Want(owner, refs...)

	for _, ref := range refs {
		if d.assets.State(ref).Blob == nil {
			d.tell(stored, wanted, time.Now())

			return reconcile.Result{RequeueAfter: looksAgain}, nil
		}
	}

	return reconcile.Result{}, d.upgrade(ctx, stored, wanted)
}

// tell records an Event about an upgrade whose files cannot be had, when the reason is another one, and now and then: the
// Environment's status is about the files that it boots meanwhile.
func (d *Defaults) tell(stored, wanted *v1alpha2.Environment, now time.Time) {
	for _, c := range d.teller.conditions(wanted) {
		if c.Status == string(metav1.ConditionTrue) || !failed(c.Reason) {
			continue
		}

		if what := c.URL + c.Reason; what != d.told || now.Sub(d.toldAt) >= tellsAgain {
			d.told, d.toldAt = what, now
			d.events.Eventf(stored, nil, corev1.EventTypeWarning, eventUpgrade, "Wait", "boots %.100s until the new files are here: %s: %.700s",
				stored.Spec.Kernel.URL, c.Reason, c.Message)
		}

		return // the other one is told of when this one is here
	}
}

// upgrade replaces the spec that was looked at, and no other: the lock sees to it.
func (d *Defaults) upgrade(ctx context.Context, stored, wanted *v1alpha2.Environment) error {
	before := stored.DeepCopy()
	stored.Spec = wanted.Spec
	stored.Annotations[v1alpha2.AnnotationDefaultDigest] = wanted.Annotations[v1alpha2.AnnotationDefaultDigest]

	err := d.client.Patch(ctx, stored, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // the change brings it here again
	}

	if err != nil {
		return fmt.Errorf("upgrade environment %s: %w", stored.Name, err)
	}

	d.events.Eventf(stored, nil, corev1.EventTypeNormal, eventUpgrade, "Upgrade", "boots %.400s now, instead of %.400s", stored.Spec.Kernel.URL, before.Spec.Kernel.URL)

	return nil
}
