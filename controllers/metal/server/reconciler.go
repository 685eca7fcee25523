// Package server takes Servers through their life: accepted, wiped, clean, allocated, in use, and back.
//
// What happens next to a server is decided by Next alone. The reconciler gathers the facts, does what was decided and
// writes it down.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

const (
	// atOnce is how many servers are worked on at the same time. A BMC that hangs holds up one of these for half a minute,
	// and is left alone afterwards.
	atOnce = 20

	// pausedAnnotation is Cluster API's: its object is left alone.
	pausedAnnotation = "cluster.x-k8s.io/paused"
)

// Config says how servers are treated.
type Config struct {
	// RebootTimeout is how long a machine may take to come back from a restart.
	RebootTimeout time.Duration
	// Firmware is what machines boot from the network with, when their Server does not say.
	Firmware power.Firmware
	// HTTPBoot is the URI of the appliance's boot file, for BMCs that tell it to UEFI.
	HTTPBoot string
	// Failures of the power API are made on purpose, for tests.
	Failures power.Failures
	// Power is how devices are treated.
	Power power.Options
	// Poll is how often the power is looked at, pollEvery when zero.
	Poll time.Duration
}

// Reconciler is the controller.
type Reconciler struct {
	config   Config
	client   client.Client
	live     client.Reader
	events   events.EventRecorder
	controls *controls
	poller   *poller

	running context.Context //nolint:containedctx // of what outlives a reconcile
	changes chan event.GenericEvent
	pins    sync.Map // fingerprints of certificates by server, not yet written
	sent    sync.Map // when blind controls were used last, by server
	started sync.Map // when machines were started for a wipe, by server, as long as that is not written
	answers sync.Map // what became of requests, by server, as long as that is not written
}

// SetupWithManager lets the controller run.
func SetupWithManager(m ctrl.Manager, config Config) error {
	guards := power.NewGuards(config.Power)
	r := &Reconciler{
		config: config, client: m.GetClient(), live: m.GetAPIReader(), events: m.GetEventRecorder("sidero-controller-manager"),
		changes: make(chan event.GenericEvent, 1024),
	}
	r.controls = &controls{
		guards: guards, secrets: m.GetAPIReader(), failures: config.Failures, httpBoot: config.HTTPBoot, key: []byte(rand.Text()),
		pinned: func(server, fingerprint string) { r.pins.Store(server, fingerprint) },
	}
	r.poller = &poller{every: cmp.Or(config.Poll, pollEvery), machines: map[string]*polled{}, changed: r.changed}

	// The poller's goroutines outlive the reconcile that starts them, and end with the controllers.
	running, stop := context.WithCancel(context.Background())
	r.running = running
	start := manager.RunnableFunc(func(ctx context.Context) error {
		defer stop()

		return guards.Run(ctx)
	})
	if err := m.Add(start); err != nil {
		return fmt.Errorf("add power guards: %w", err)
	}

	// A binding has the name of its server.
	binding := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetName()}}}
	})

	err := ctrl.NewControllerManagedBy(m).
		Named("server").
		For(&v1alpha2.Server{}).
		Watches(&v1alpha3.ServerBinding{}, binding).
		Watches(&v1alpha2.ServerClass{}, handler.EnqueueRequestsFromMapFunc(r.toWipe), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(r.changes, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add server controller: %w", err)
	}

	return nil
}

// changed has a server looked at, and tells whether that is so: it is not while a thousand others wait.
func (r *Reconciler) changed(server string) bool {
	o := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: server}}

	select {
	case r.changes <- event.GenericEvent{Object: o}:
		return true
	default:
		return false
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	if rests, after, err := r.rests(ctx, request.NamespacedName); rests || err != nil {
		return after, err
	}

	s := &v1alpha2.Server{}
	// Not from the cache: what was written a moment ago counts, above all that the server was wiped or un-accepted.
	if err := r.live.Get(ctx, request.NamespacedName, s); err != nil {
		if apierrors.IsNotFound(err) {
			r.poller.forget(request.Name)
		}

		return reconcile.Result{}, client.IgnoreNotFound(err)
	}

	if changed, err := r.keepMetadata(ctx, s); changed || err != nil {
		return reconcile.Result{}, err // the change brings it here again
	}

	binding, err := r.binding(ctx, s.Name)
	if err != nil {
		return reconcile.Result{}, err
	}

	view := r.look(ctx, s)
	view.started = r.startedAt(s)
	known := facts(s, binding, view, r.config.RebootTimeout)

	if known.Unclear, err = r.unclear(ctx, s, binding); err != nil {
		return reconcile.Result{}, err
	}

	decision := Next(known)

	// Before anything is done to its machine: whatever happens next, nobody calls it clean any more that may hold data, and no class accepts
	// it again that a person takes the acceptance from meanwhile.
	if decision.InUse && !s.Status.InUse || firstAccepted(s) {
		return reconcile.Result{}, ignoreChanged(r.record(ctx, s, result{decision.without(), view, nil, binding})) // brings it here again
	}

	// First, so that it is done once at most, whatever happens in between.
	if taken, err := r.takeRequest(ctx, s); err != nil || !taken {
		return reconcile.Result{}, err
	}

	outcome := r.act(ctx, target{s, view, known.Asked}, decision)

	switch {
	case errors.Is(outcome, errChanged) && known.Asked == NoAction:
		return reconcile.Result{RequeueAfter: failedAgain}, nil // unless the change brings it here before
	case outcome != nil && !errors.Is(outcome, errChanged):
		r.poller.failed(s.Name, outcome)
	}

	done := result{decision, view, outcome, binding}

	if done.marks() || known.Asked != "" {
		return reconcile.Result{}, r.note(ctx, s, done, known.Asked) // the change brings it here again
	}

	if err := r.record(ctx, s, done); err != nil {
		return reconcile.Result{}, ignoreChanged(err)
	}

	if decision.Released {
		return reconcile.Result{}, r.release(ctx, s)
	}

	after := again(decision, view, outcome)
	if left := unheard(s, time.Now()); left > 0 && (after.RequeueAfter == 0 || left < after.RequeueAfter) {
		after.RequeueAfter = left
	}

	return after, nil
}

// again is after how long the server is looked at again.
func again(d Decision, v view, outcome error) reconcile.Result {
	if outcome != nil || v.problem != nil {
		return reconcile.Result{RequeueAfter: failedAgain}
	}

	return reconcile.Result{RequeueAfter: d.Again}
}

// keepMetadata adds the finalizer, so that a server that is deleted stays while it is in use, and the labels of its hardware.
func (r *Reconciler) keepMetadata(ctx context.Context, s *v1alpha2.Server) (changed bool, err error) {
	before := s.DeepCopy()
	changed = membership.Relabel(s)

	if s.DeletionTimestamp.IsZero() {
		changed = controllerutil.AddFinalizer(s, v1alpha2.ServerFinalizer) || changed
	}

	if !changed {
		return false, nil
	}

	// After somebody else's change it begins again as well: that may be the end of the server's acceptance.
	if err := r.client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return true, ignoreChanged(fmt.Errorf("write finalizer and labels of server %s: %w", s.Name, err))
	}

	return true, nil
}

func (r *Reconciler) release(ctx context.Context, s *v1alpha2.Server) error {
	r.poller.forget(s.Name)
	r.pins.Delete(s.Name)
	r.sent.Delete(s.Name)
	r.started.Delete(s.Name)
	r.answers.Delete(s.Name)

	before := s.DeepCopy()
	if !controllerutil.RemoveFinalizer(s, v1alpha2.ServerFinalizer) {
		return nil
	}

	if err := r.client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return ignoreChanged(fmt.Errorf("remove finalizer from server %s: %w", s.Name, err))
	}

	return nil
}

// ignoreChanged drops errors of objects that somebody else has changed or deleted: that brings them here again.
func ignoreChanged(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}

	return err
}

// binding is the server's, or nil.
func (r *Reconciler) binding(ctx context.Context, name string) (*v1alpha3.ServerBinding, error) {
	binding := &v1alpha3.ServerBinding{}
	if err := r.live.Get(ctx, client.ObjectKey{Name: name}, binding); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil //nolint:nilnil // there is none
		}

		return nil, fmt.Errorf("read binding of server %s: %w", name, err)
	}

	return binding, nil
}

// view is what is known of a server's power.
type view struct {
	control *control
	reading reading
	// sent is when a blind control was used last; zero if it was not since the appliance started.
	sent time.Time
	// started is when the machine was started for a wipe, if that could not be written; else zero.
	started time.Time
	// problem tells why there is no control, nil also when there need not be one.
	problem error
}

// look makes the server's control and asks what was seen of its power last.
func (r *Reconciler) look(ctx context.Context, s *v1alpha2.Server) view {
	control, err := r.controls.of(ctx, s)
	if control == nil {
		r.poller.forget(s.Name)

		return view{problem: err}
	}

	if control.blind {
		r.poller.forget(s.Name)

		return view{control: control, reading: reading{state: power.Unknown}, sent: r.sentTo(s.Name)}
	}

	return view{control: control, reading: r.poller.follow(r.running, s.Name, control)}
}

// facts are a server's.
func facts(s *v1alpha2.Server, binding *v1alpha3.ServerBinding, v view, timeout time.Duration) Facts {
	f := Facts{
		Now: time.Now(), Accepted: s.Spec.Accepted, Deleting: !s.DeletionTimestamp.IsZero(),
		Cordoned: s.Spec.Cordoned, IsClean: s.Status.IsClean, WipeFailure: wipeFailure(s.Status.Wipe),
		Power: v.reading.settled(), Automatic: v.control != nil, RebootTimeout: timeout,
	}

	_, f.Paused = s.Annotations[pausedAnnotation]
	f.Settling = v.reading.told != ""
	f.Duplicate, f.Rotates = s.Duplicate(), s.WantsAccount()
	f.Asked = Action(s.Annotations[v1alpha2.PowerRequestAnnotation])

	if v.control != nil {
		f.Blind, f.Sent, f.TurnsOff = v.control.blind, v.sent, v.control.turnsOff
	}

	if v.problem != nil {
		f.Problem = v.problem.Error()
	}

	if c, ok := s.Status.Conditions.Find(v1alpha2.ConditionPowerCycle); ok && c.Status == corev1.ConditionFalse {
		f.Cycling, f.Heartbeat = c.LastTransitionTime.Time, c.Message == wipeInProgress
	}

	if v.started.After(f.Cycling) {
		f.Cycling, f.Heartbeat = v.started, false
	}

	if binding != nil {
		f.Bound = true
		_, f.Anew = bootwindow.ByPerson(binding, s, f.Now)

		for _, c := range binding.Status.Conditions {
			f.Installed = f.Installed || c.Type == v1alpha3.ConditionTalosInstalled && c.Status == corev1.ConditionTrue
		}
	}

	return f
}
