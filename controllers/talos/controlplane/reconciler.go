package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

const (
	// atOnce is how many control planes are worked on at the same time. Most of that is waiting for nodes that are not up yet, or
	// gone for ever, which holds up nobody else's.
	atOnce = 100
	// fails and failsWithin are how soon a step that failed is tried again: later each time, and never much later than its cause goes.
	fails, failsWithin = 100 * time.Millisecond, 30 * time.Second
	// goesOnAfter is how soon the next thing is done.
	goesOnAfter = 100 * time.Millisecond
	// looksAgainAfter is how soon nodes are asked again for what is waited for.
	looksAgainAfter = 5 * time.Second
	// checksAfter is how often they are asked when all is well.
	checksAfter = time.Minute
)

// reconciler is the controller of TalosControlPlanes.
type reconciler struct {
	client client.Client
	// live reads what is, and not what was.
	live   client.Reader
	dial   talosapi.Dialer
	events events.EventRecorder
}

func setUp(manager ctrl.Manager, dial talosapi.Dialer) error {
	r := &reconciler{
		client: manager.GetClient(), live: manager.GetAPIReader(), dial: dial,
		events: manager.GetEventRecorder("talos-control-plane"),
	}

	options := controller.Options{
		MaxConcurrentReconciles: atOnce,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](fails, failsWithin),
	}

	return ctrl.NewControllerManagedBy(manager). //nolint:wrapcheck // by the caller
							Named("taloscontrolplane").
							For(&v1alpha3.TalosControlPlane{}).
							Owns(&clusterv1.Machine{}).
							Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(ofCluster), builder.WithPredicates(contract.OwnerChanged())).
							WithOptions(options).
							Complete(r)
}

// ofCluster is the control plane that a Cluster names.
func ofCluster(_ context.Context, object client.Object) []reconcile.Request {
	cluster, ok := object.(*clusterv1.Cluster)
	if !ok || cluster.Spec.ControlPlaneRef.Kind != "TalosControlPlane" {
		return nil
	}

	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Spec.ControlPlaneRef.Name}}}
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	plane := &v1alpha3.TalosControlPlane{}
	if err := r.live.Get(ctx, request.NamespacedName, plane); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) //nolint:wrapcheck // it names the object
	}

	before := plane.DeepCopy()

	s, err := r.gather(ctx, plane)
	if err != nil {
		return ctrl.Result{}, err
	}

	if s.facts.paused {
		plane.Status.ObservedGeneration = plane.Generation
		plane.Status.Conditions = contract.Conditions(plane.Status.Conditions, contract.Pause(plane, s.cluster))

		return ctrl.Result{}, r.record(ctx, before, plane)
	}

	decided := waiting(v1alpha3.ReasonStepFailed, "what there is cannot be seen")

	err = r.look(ctx, s)
	if err == nil {
		decided = next(s.facts)
		err = r.act(ctx, s, decided)
	}

	switch {
	case decided.action == finish:
		return ctrl.Result{}, err
	case apierrors.IsConflict(err): // somebody else was faster, which is no failure
		return ctrl.Result{RequeueAfter: goesOnAfter}, nil
	}

	err = errors.Join(err, s.unkept, r.tellMachines(ctx, s))
	r.describeStatus(s, report{decided, err})

	if err := errors.Join(err, r.record(ctx, before, plane)); err != nil {
		return ctrl.Result{}, err
	}

	return ctrl.Result{RequeueAfter: pace(decided.action)}, nil
}

// look asks the nodes and the cluster's API. One that is being deleted is not asked: nothing depends on it.
func (r *reconciler) look(ctx context.Context, s *scene) error {
	if s.facts.deleted || !s.facts.endpoint {
		return nil
	}

	if err := r.hold(ctx, s.plane); err != nil {
		return err
	}

	if err := r.holdMachines(ctx, s); err != nil {
		return err
	}

	if err := r.inspect(ctx, s); err != nil {
		return err
	}

	if err := r.reckon(ctx, s); err != nil {
		return err
	}

	// Without a kubeconfig etcd is looked after all the same.
	kubeconfig, err := r.keepKubeconfig(ctx, s)
	if err == nil && kubeconfig != nil {
		err = s.survey(ctx, kubeconfig)
	}

	s.unkept = err

	return nil
}

// reckon finds out whether there is something to replace machines with, when it depends on that what is done.
func (r *reconciler) reckon(ctx context.Context, s *scene) error {
	if !s.facts.undecided() {
		return nil
	}

	var err error
	s.facts.spare, err = r.spare(ctx, s)

	return err
}

// survey asks the cluster's API whether it is there, and when machines are upgraded what runs on them.
func (s *scene) survey(ctx context.Context, kubeconfig []byte) error {
	cluster, err := connect(kubeconfig)
	if err != nil {
		return err
	}

	defer cluster.close()

	if s.facts.answers = cluster.answers(ctx); !s.facts.answers || !s.facts.old() {
		return nil
	}

	runs, err := cluster.running(ctx)
	if err != nil {
		return err
	}

	for i, m := range s.machines {
		for p, version := range runs.of(m) {
			s.facts.machines[i].parts[p].runs = version
		}
	}

	return nil
}

// hold keeps the object until its machines are gone.
func (r *reconciler) hold(ctx context.Context, plane *v1alpha3.TalosControlPlane) error {
	before, status := plane.DeepCopy(), plane.Status.DeepCopy()
	if !controllerutil.AddFinalizer(plane, v1alpha3.TalosControlPlaneFinalizer) {
		return nil
	}

	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, plane, patch); err != nil {
		return fmt.Errorf("hold TalosControlPlane %s: %w", plane.Name, err)
	}

	plane.Status = *status

	return nil
}

func pace(a action) time.Duration {
	switch a {
	case steady:
		return checksAfter
	case wait, clearAll:
		return looksAgainAfter
	default:
		return goesOnAfter
	}
}

// act does what was decided.
func (r *reconciler) act(ctx context.Context, s *scene, d decision) error {
	switch d.action {
	case create:
		return r.create(ctx, s)
	case remove:
		r.events.Eventf(s.plane, s.machine(d.machine), corev1.EventTypeNormal, "MachineDeleted", "Delete", "machine %s is deleted", d.machine)

		return r.remove(ctx, s.machine(d.machine))
	case release:
		return r.release(ctx, s.machine(d.machine))
	case evict:
		r.events.Eventf(s.plane, s.machine(d.machine), corev1.EventTypeNormal, "EtcdMemberLeaves", "Evict", "machine %s leaves etcd", d.machine)

		return r.evict(ctx, s, d.machine)
	case expel:
		r.events.Eventf(s.plane, nil, corev1.EventTypeNormal, "EtcdMemberRemoved", "Expel", "member %x of etcd is of no machine", d.stranger)

		return r.expel(ctx, s, d.stranger, "")
	case intend:
		return r.annotate(ctx, s.plane, string(s.machine(d.machine).UID))
	case begin:
		return r.begin(ctx, s, d.machine)
	case adopt:
		s.plane.Status.Bootstrapped = true

		return nil
	case configure:
		return r.configure(ctx, s, d)
	case recordKubernetes:
		return r.recordKubernetes(ctx, s, d)
	case install:
		return r.install(ctx, s, d)
	case recordTalos:
		return r.recordTalos(ctx, s, d)
	case clearAll:
		return r.clear(ctx, s)
	case finish:
		return r.finish(ctx, s.plane)
	default:
		return nil
	}
}

// begin has a node begin the etcd cluster. It was written down which one, so a second try is at the same, which refuses it.
func (r *reconciler) begin(ctx context.Context, s *scene, name string) error {
	err := r.tell(ctx, s, name, func(n talosapi.Node) error { return n.Bootstrap(ctx) })
	if err != nil && !errors.Is(err, talosapi.ErrBootstrapped) {
		return err
	}

	if err == nil {
		r.events.Eventf(s.plane, s.machine(name), corev1.EventTypeNormal, "Bootstrapped", "Bootstrap", "machine %s begins the etcd cluster", name)
	}

	s.plane.Status.Bootstrapped = true

	return nil
}

// annotate writes the intention, unless somebody else has changed the object.
func (r *reconciler) annotate(ctx context.Context, plane *v1alpha3.TalosControlPlane, uid string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q},"resourceVersion":%q}}`, intention, uid, plane.ResourceVersion)
	status := plane.Status.DeepCopy()

	if err := r.client.Patch(ctx, plane, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return fmt.Errorf("write which machine begins etcd: %w", err)
	}

	plane.Status = *status

	return nil
}

func (r *reconciler) finish(ctx context.Context, plane *v1alpha3.TalosControlPlane) error {
	before := plane.DeepCopy()
	if !controllerutil.RemoveFinalizer(plane, v1alpha3.TalosControlPlaneFinalizer) {
		return nil
	}

	err := r.client.Patch(ctx, plane, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))

	return client.IgnoreNotFound(err) //nolint:wrapcheck // it names the object
}

func (s *scene) machine(name string) *clusterv1.Machine {
	for i := range s.machines {
		if s.machines[i].Name == name {
			return &s.machines[i]
		}
	}

	return &clusterv1.Machine{}
}

func (s *scene) fact(name string) machine {
	for _, m := range s.facts.machines {
		if m.name == name {
			return m
		}
	}

	return machine{}
}
