// Package metalremediation brings unhealthy machines back to health, by Cluster API's contract of external remediation: a
// MachineHealthCheck makes a MetalRemediation for a Machine, which owns it, and deletes it when the Machine is healthy. What to
// do is decided by next: the server's power is cycled, and a machine that this does not help is replaced.
package metalremediation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

const (
	atOnce = 10
	// looksAgainAfter is how soon a machine without a server is looked at again.
	looksAgainAfter = 20 * time.Second
	event           = "Remediation"
	// requestCycle and requestOn are what the controller of servers is asked for.
	requestCycle = "cycle"
	requestOn    = "on"
)

type reconciler struct {
	client client.Client
	// live reads what is: who counts by what was, may cycle a server's power twice.
	live   client.Reader
	events events.EventRecorder
}

// SetupWithManager lets the controller run.
func SetupWithManager(m ctrl.Manager) error {
	r := &reconciler{m.GetClient(), m.GetAPIReader(), m.GetEventRecorder("caps-controller-manager")}

	err := ctrl.NewControllerManagedBy(m).
		Named("metalremediation").
		For(&v1alpha3.MetalRemediation{}).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(ofMachine)).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add MetalRemediation controller: %w", err)
	}

	return nil
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	object := &v1alpha3.MetalRemediation{}
	if found, err := contract.Find(ctx, r.live, request.NamespacedName, object); !found {
		return reconcile.Result{}, err
	}

	f, err := r.gather(ctx, object)
	if err != nil {
		return reconcile.Result{}, err
	}

	decided := next(f)
	if decided.action == leave && !contract.Paused(object, f.cluster) {
		return reconcile.Result{}, nil
	}

	if err := r.record(ctx, f, decided); err != nil {
		return reconcile.Result{}, err
	}

	return reconcile.Result{RequeueAfter: decided.after}, r.act(ctx, f, decided)
}

// act does what was decided, which is written down.
func (r *reconciler) act(ctx context.Context, f facts, d decision) error {
	switch d.action {
	case try:
		return r.try(ctx, f, d)
	case replace:
		return r.replace(ctx, f, d)
	case handOver:
		return r.handOver(ctx, f, d)
	default:
		return nil
	}
}

// gather finds the Machine that owns a remediation, its Cluster, and the server that it has by its binding.
func (r *reconciler) gather(ctx context.Context, object *v1alpha3.MetalRemediation) (facts, error) {
	f, machine := facts{remediation: object, now: time.Now()}, &clusterv1.Machine{}

	found, err := contract.Owner(ctx, r.live, object, "Machine", machine)
	if !found {
		return f, err //nolint:wrapcheck // it names the object
	}

	f.machine, f.installs = machine, installation.Parse(machine.Annotations[installation.Annotation])
	in := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: object.Namespace, Name: name} }

	cluster := &clusterv1.Cluster{}
	if found, err := contract.Find(ctx, r.client, in(machine.Spec.ClusterName), cluster); err != nil {
		return f, err //nolint:wrapcheck // it names the object
	} else if found {
		f.cluster = cluster
	}

	if machine.Spec.InfrastructureRef.Kind != "MetalMachine" {
		return f, nil
	}

	metalMachine := &v1alpha3.MetalMachine{}
	if found, err := contract.Find(ctx, r.live, in(machine.Spec.InfrastructureRef.Name), metalMachine); !found {
		f.bare = err == nil

		return f, err //nolint:wrapcheck // it names the object
	}

	server, err := r.server(ctx, metalMachine)
	if server != nil {
		f.server, f.request, f.serverPaused = server.Name, requestOf(server), contract.Paused(server, nil)
	}

	return f, err
}

// server is the one that a machine has, by its binding; nil when it has none.
func (r *reconciler) server(ctx context.Context, machine *v1alpha3.MetalMachine) (*metal.Server, error) {
	if machine.Spec.ServerRef == nil {
		return nil, nil //nolint:nilnil // as told
	}

	key := client.ObjectKey{Name: machine.Spec.ServerRef.Name}

	binding := &v1alpha3.ServerBinding{}
	if found, err := contract.Find(ctx, r.live, key, binding); !found || !binding.IsOf(machine) {
		return nil, err //nolint:wrapcheck // it names the object
	}

	server := &metal.Server{}
	if found, err := contract.Find(ctx, r.live, key, server); !found {
		return nil, err //nolint:wrapcheck // it names the object
	}

	return server, nil
}

// requestOf is what a server's power control can do for a machine that hangs, or is off; empty when there is none.
func requestOf(s *metal.Server) string {
	switch s.Spec.PowerDriver() {
	case metal.PowerManual:
		return ""
	case metal.PowerWakeOnLAN:
		return requestOn
	case metal.PowerWebhook:
		if hook := s.Spec.Power.Webhook; hook != nil && hook.Preset == "" && hook.Cycle == nil && hook.Off == nil {
			return requestOn
		}
	case metal.PowerIPMI: // without credentials its set-up is not complete
		if !s.Spec.BMC.HasLogin() {
			return ""
		}
	}

	return requestCycle
}

// record writes what is going to be done, unless the remediation has been changed meanwhile.
func (r *reconciler) record(ctx context.Context, f facts, d decision) error {
	before, status := f.remediation.DeepCopy(), &f.remediation.Status
	status.Conditions = contract.Conditions(status.Conditions, contract.Pause(f.remediation, f.cluster))

	if d.action == try {
		status.RetryCount++
		status.LastRemediated = ptr.To(metav1.NewTime(f.now.Truncate(time.Second)))
	}

	if d.action != leave {
		status.Phase = d.phase
		status.Conditions = contract.Conditions(status.Conditions, d.condition())
	}

	if apiequality.Semantic.DeepEqual(before.Status, *status) {
		return nil
	}

	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, f.remediation, patch); err != nil {
		return fmt.Errorf("write status of MetalRemediation %s: %w", f.remediation.Name, err)
	}

	if d.action == keep {
		r.events.Eventf(f.machine, f.remediation, corev1.EventTypeWarning, event, "Keep", "%s", d.message)
	}

	return nil
}

// condition sums a decision up.
func (d decision) condition() metal.Condition {
	switch d.phase {
	case phaseSucceeded:
		return metal.Condition{Type: v1alpha3.ConditionReady, Status: corev1.ConditionTrue, Reason: d.reason, Message: d.message}
	case phaseFailed:
		return contract.False(v1alpha3.ConditionReady, metal.SeverityWarning, d.reason, d.message)
	default:
		return contract.False(v1alpha3.ConditionReady, metal.SeverityInfo, d.reason, d.message)
	}
}

// try asks the controller of servers, as a person would; and a person where that can do nothing.
func (r *reconciler) try(ctx context.Context, f facts, d decision) error {
	if f.request == "" {
		r.events.Eventf(f.machine, f.remediation, corev1.EventTypeWarning, event, "PowerCycle", "%s", d.message)

		return nil
	}

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{metal.PowerRequestAnnotation: f.request}}})
	if err != nil {
		return fmt.Errorf("write a request: %w", err)
	}

	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: f.server}}
	if err := r.client.Patch(ctx, server, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("ask for a power cycle of server %s: %w", f.server, err)
	}

	r.events.Eventf(f.machine, f.remediation, corev1.EventTypeNormal, event, "PowerCycle", "%s", d.message)

	return nil
}

// replace deletes the Machine, whose MachineSet makes another.
func (r *reconciler) replace(ctx context.Context, f facts, d decision) error {
	only := client.Preconditions{UID: ptr.To(f.machine.UID)}
	if err := client.IgnoreNotFound(r.client.Delete(ctx, f.machine, only)); err != nil {
		return fmt.Errorf("replace Machine %s: %w", f.machine.Name, err)
	}

	r.events.Eventf(f.machine, f.remediation, corev1.EventTypeWarning, event, "Replace", "%s", d.message)

	return nil
}

// handOver tells a control plane, by the condition that Cluster API has for this.
func (r *reconciler) handOver(ctx context.Context, f facts, d decision) error {
	if conditions.IsFalse(f.machine, clusterv1.MachineOwnerRemediatedCondition) {
		return nil
	}

	before := f.machine.DeepCopy()
	conditions.Set(f.machine, metav1.Condition{
		Type: clusterv1.MachineOwnerRemediatedCondition, Status: metav1.ConditionFalse,
		Reason: clusterv1.MachineOwnerRemediatedWaitingForRemediationReason, Message: d.message,
	})

	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, f.machine, patch); err != nil {
		return fmt.Errorf("hand Machine %s over to its control plane: %w", f.machine.Name, err)
	}

	r.events.Eventf(f.machine, f.remediation, corev1.EventTypeWarning, event, "HandOver", "%s", d.message)

	return nil
}

// ofMachine is the remediation of a Machine, which has its name.
func ofMachine(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
}
