// Package node gives the Nodes of clusters their provider IDs, by which Cluster API knows whose machines they are, tells of
// each MetalMachine whether that is done, and deletes the Nodes of machines that are gone. It works on one cluster after the
// other, each with one list of its Nodes: how many machines a cluster has that cannot be reached makes no difference to others.
package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

const (
	// atOnce is how many clusters are asked at the same time: most of the time is waiting for those that do not answer.
	atOnce = 50
	// Nodes that are missing are looked for again soon, a cluster that does not answer is asked again as upstream does, and one
	// in order is looked at in case that a Node was made again.
	missingAgainAfter = 5 * time.Second
	failedAgainAfter  = 20 * time.Second
	inOrderAgainAfter = 10 * time.Minute

	// lateAfter is how long after a machine has its server its Node is expected: a slow one has booted three times and installed Talos by then.
	lateAfter = 15 * time.Minute

	reasonFailed = "ProviderUpdateFailed" // upstream's
)

type reconciler struct {
	client client.Client
	live   client.Reader // of Secrets, which are not kept in memory
	events events.EventRecorder
}

// SetupWithManager lets the controller run.
func SetupWithManager(m ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(m).
		Named("node").
		For(&clusterv1.Cluster{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Watches(&v1alpha3.MetalMachine{}, alsoDeleted{handler.EnqueueRequestsFromMapFunc(ofMachine)}, builder.WithPredicates(becomesPending())).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(&reconciler{m.GetClient(), m.GetAPIReader(), m.GetEventRecorder("caps-controller-manager")})
	if err != nil {
		return fmt.Errorf("add Node controller: %w", err)
	}

	return nil
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	cluster := &clusterv1.Cluster{}
	if found, err := contract.Find(ctx, r.client, request.NamespacedName, cluster); !found {
		return reconcile.Result{}, err
	}

	if contract.Paused(cluster, cluster) || !cluster.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}

	all := &v1alpha3.MetalMachineList{}
	if err := r.client.List(ctx, all, client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}); err != nil {
		return reconcile.Result{}, fmt.Errorf("list machines: %w", err)
	}

	after, err := r.mark(ctx, cluster, all.Items)

	return reconcile.Result{RequeueAfter: after}, err
}

// mark sees to the Nodes of a cluster's machines, and to those whose machines are gone, and tells how soon they are looked at
// again.
func (r *reconciler) mark(ctx context.Context, cluster *clusterv1.Cluster, all []v1alpha3.MetalMachine) (time.Duration, error) {
	machines := kept(all)
	if len(machines) == 0 {
		return 0, nil
	}

	var nodes []corev1.Node

	workload, failed := connect(ctx, r.live, client.ObjectKeyFromObject(cluster))
	if failed == nil {
		nodes, failed = workload.list(ctx)
	}

	after := inOrderAgainAfter
	if failed != nil {
		after = failedAgainAfter
	}

	var problems []error

	for _, m := range machines {
		err := failed
		if err == nil {
			if err = r.node(ctx, workload, m, nodes); err != nil {
				after = min(after, missingAgainAfter)
			}
		}

		// What was in order stays so while nobody can look.
		if failed != nil && m.Status.Conditions.Is(v1alpha3.ConditionProviderSet, corev1.ConditionTrue) {
			continue
		}

		problems = append(problems, r.record(ctx, m, err, failed != nil || errors.Is(err, errNoNode)))
	}

	if failed == nil {
		after = min(after, r.forget(ctx, cluster, workload, seen{nodes: nodes, machines: all}))
	}

	return after, errors.Join(problems...)
}

// node sees to the Node of a machine.
func (r *reconciler) node(ctx context.Context, w *workload, m *v1alpha3.MetalMachine, nodes []corev1.Node) error {
	server := m.Spec.ServerRef.Name

	node, err := match(nodes, server)
	if err != nil {
		return err
	}

	if err := w.write(ctx, node, server); err != nil {
		return err
	}

	return r.reach(ctx, m, node)
}

// reach writes how a Node is reached into the binding of its machine, unless the machine itself has told that.
func (r *reconciler) reach(ctx context.Context, m *v1alpha3.MetalMachine, node *corev1.Node) error {
	binding := &v1alpha3.ServerBinding{}
	if found, err := contract.Find(ctx, r.client, client.ObjectKey{Name: m.Spec.ServerRef.Name}, binding); !found || !binding.IsOf(m) {
		return err //nolint:wrapcheck // it names the object
	}

	before := binding.DeepCopy()

	addresses, hostname := reached(node)
	if len(binding.Spec.Addresses) == 0 {
		binding.Spec.Addresses = addresses
	}

	if binding.Spec.Hostname == "" {
		binding.Spec.Hostname = hostname
	}

	if apiequality.Semantic.DeepEqual(before.Spec, binding.Spec) {
		return nil
	}

	if err := r.client.Patch(ctx, binding, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write ServerBinding %s: %w", binding.Name, err)
	}

	return nil
}

// record writes upstream's condition. Missing tells that there is no Node, as far as anybody can see.
func (r *reconciler) record(ctx context.Context, m *v1alpha3.MetalMachine, failed error, missing bool) error {
	condition := metal.Condition{Type: v1alpha3.ConditionProviderSet, Status: corev1.ConditionTrue}
	late := missing && isLate(m, time.Now())

	if failed != nil {
		condition = contract.False(v1alpha3.ConditionProviderSet, metal.SeverityWarning, reasonFailed, failed.Error())
	}

	if late {
		condition.Message += lateAdvice(m)
	}

	before := m.DeepCopy()
	if m.Status.Conditions = contract.Conditions(m.Status.Conditions, condition); apiequality.Semantic.DeepEqual(before.Status, m.Status) {
		return nil
	}

	if err := r.client.Status().Patch(ctx, m, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("write status of MetalMachine %s: %w", m.Name, err))
	}

	if was, _ := before.Status.Conditions.Find(v1alpha3.ConditionProviderSet); late && was.Message != condition.Message {
		r.events.Eventf(m, nil, corev1.EventTypeWarning, reasonFailed, "MarkNode", "%s", condition.Message)
	}

	return nil
}

// isLate tells whether a machine without a Node has had its server for so long that something must be wrong. Until then it boots.
func isLate(m *v1alpha3.MetalMachine, now time.Time) bool {
	bound, _ := m.Status.Conditions.Find(v1alpha3.ConditionServerBound)

	return bound.Status == corev1.ConditionTrue && now.Sub(bound.LastTransitionTime.Time) >= lateAfter
}

// lateAdvice is where a person finds out what the machine waits for.
func lateAdvice(m *v1alpha3.MetalMachine) string {
	server := m.Spec.ServerRef.Name

	return fmt.Sprintf(", more than %d minutes after it got its server: look at the machine's console, at \"kubectl get server %s -o yaml\" for the steps of its boot, "+
		"and at \"sidero-appliance logs %s\"", int(lateAfter.Minutes()), server, server)
}

// kept are the machines that have servers, and whose Nodes may be written.
func kept(all []v1alpha3.MetalMachine) []*v1alpha3.MetalMachine {
	var machines []*v1alpha3.MetalMachine

	for i := range all {
		if m := &all[i]; bound(m) && !contract.Paused(m, nil) {
			machines = append(machines, m)
		}
	}

	return machines
}

// bound tells whether a machine has a server, and keeps it.
func bound(m *v1alpha3.MetalMachine) bool {
	return m.Status.Ready && m.Spec.ServerRef != nil && m.Spec.ServerRef.Name != "" && m.DeletionTimestamp.IsZero()
}

// becomesPending lets those machines through that are gone, and, once, those whose Nodes are not known to be in order: the rest is
// done by time, because what is written of a failure would bring the machine here again at once.
func becomesPending() predicate.Predicate {
	pending := func(o client.Object) bool {
		m, ok := o.(*v1alpha3.MetalMachine)

		return ok && bound(m) && !contract.Paused(m, nil) && !m.Status.Conditions.Is(v1alpha3.ConditionProviderSet, corev1.ConditionTrue)
	}

	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return pending(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return pending(e.ObjectNew) && !pending(e.ObjectOld) },
		DeleteFunc: func(event.DeleteEvent) bool { return true },
	}
}

// alsoDeleted has the Cluster of a deleted machine looked at when the machine's Node may have been left for long enough.
type alsoDeleted struct{ handler.EventHandler }

// Delete implements handler.EventHandler.
func (alsoDeleted) Delete(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	for _, cluster := range ofMachine(ctx, e.Object) {
		q.AddAfter(cluster, orphanAfter)
	}
}

// ofMachine is the Cluster that a machine is of.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[clusterv1.ClusterNameLabel]
	if name == "" {
		return nil
	}

	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}}}
}
