package metalmachine

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/reset"
)

// eventRelease is what Events are about that tell of a server that is given back.
const eventRelease = "Server Release"

// release deletes the machine's bindings, and lets it go when there are none. Those of others stay.
func (r *Reconciler) release(ctx context.Context, f facts) (reconcile.Result, error) {
	machine := f.machine
	if !controllerutil.ContainsFinalizer(machine, v1alpha3.MetalMachineFinalizer) {
		return reconcile.Result{}, nil
	}

	bindings, err := r.bindingsOf(ctx, machine)
	if err != nil {
		return reconcile.Result{}, err
	}

	for _, binding := range bindings {
		if after, err := r.vacate(ctx, f, binding); err != nil || after > 0 {
			return reconcile.Result{RequeueAfter: after}, err
		}

		only := client.Preconditions{UID: ptr.To(binding.UID)}
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, binding, only)); err != nil {
			return reconcile.Result{}, fmt.Errorf("release server %s: %w", binding.Name, err)
		}

		if there, err := r.find(ctx, binding.Name); err != nil || there != nil && there.UID == binding.UID {
			return reconcile.Result{}, err // a finalizer of somebody else holds it: its end brings the machine here again
		}
	}

	err = r.change(ctx, machine, func() {
		machine.Spec.ServerRef = nil

		controllerutil.RemoveFinalizer(machine, v1alpha3.MetalMachineFinalizer)
	})
	if err = client.IgnoreNotFound(err); err == nil {
		r.claims.drop(machine.UID)
	}

	return reconcile.Result{}, err //nolint:wrapcheck // it is wrapped by change
}

// vacate has the node of a server obey whose power nothing controls, and tells how soon that is looked at again: 0 when the server is
// given back now.
func (r *Reconciler) vacate(ctx context.Context, f facts, binding *v1alpha3.ServerBinding) (time.Duration, error) {
	server := &metal.Server{}
	if found, err := contract.Find(ctx, r.Live, client.ObjectKey{Name: binding.Name}, server); !found {
		return 0, err //nolint:wrapcheck // it names the object
	}

	classes := &metal.ServerClassList{}
	if err := r.Client.List(ctx, classes, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("list classes: %w", err)
	}

	known := describe(f.machine, binding, server)
	known.Spared = !wipepolicy.Decide(server, classes.Items, "").Everything()

	cluster := client.ObjectKey{Namespace: f.machine.Namespace, Name: f.machine.Labels[clusterv1.ClusterNameLabel]}

	decided, err := r.Nodes.Try(ctx, cluster, known, func(d reset.Decision) error {
		return r.record(ctx, f, func(status *v1alpha3.MetalMachineStatus) {
			tell(status, contract.False(v1alpha3.ConditionServerBound, metal.SeverityInfo, d.Reason, d.Message))
		})
	})
	if err != nil {
		return 0, err //nolint:wrapcheck // it says what failed
	}

	if decided.Restarts {
		return 0, r.restarts(ctx, server, f.machine)
	}

	if decided.Message == "" {
		return decided.After, nil
	}

	if decided.Action == reset.GiveBack {
		r.Events.Eventf(server, f.machine, corev1.EventTypeWarning, eventRelease, "Release", "%s", decided.Message)

		return 0, nil
	}

	return decided.After, r.record(ctx, f, func(status *v1alpha3.MetalMachineStatus) {
		severity := metal.SeverityWarning
		if decided.Reason == v1alpha3.ReasonNodeResets {
			severity = metal.SeverityInfo
		}

		tell(status, contract.False(v1alpha3.ConditionServerBound, severity, decided.Reason, decided.Message))
	})
}

// restarts tells the controller of servers that a machine is on its way to its wipe, as it tells itself where it has restarted one.
func (r *Reconciler) restarts(ctx context.Context, server *metal.Server, machine *v1alpha3.MetalMachine) error {
	before := server.DeepCopy()
	server.Status.Conditions = contract.Conditions(server.Status.Conditions,
		contract.False(metal.ConditionPowerCycle, metal.SeverityInfo, metal.ReasonInProgress, "restarted for its wipe by the node that it was"))

	err := r.Client.Status().Patch(ctx, server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return fmt.Errorf("write that server %s restarts: %w", server.Name, err)
	}

	r.Events.Eventf(server, machine, corev1.EventTypeNormal, eventRelease, "Release", "the node that it was restarts, for its wipe")

	return nil
}

// describe turns objects into the facts that a node is reset by.
func describe(machine *v1alpha3.MetalMachine, binding *v1alpha3.ServerBinding, server *metal.Server) reset.Facts {
	bound, _ := machine.Status.Conditions.Find(v1alpha3.ConditionServerBound)
	f := reset.Facts{
		Now: time.Now(), Since: machine.DeletionTimestamp.Time, Server: server.Name,
		Accepted: server.Spec.Accepted, Duplicate: server.Duplicate(), Paused: contract.Paused(server, nil), Controlled: reset.Controlled(server),
		Configured: configured(machine, binding, server), Told: bound.Reason == v1alpha3.ReasonNodeResets,
	}

	for _, a := range addresses(binding, server, "") {
		if a.Type == v1alpha3.AddressInternalIP {
			f.Addresses = append(f.Addresses, a.Address)
		}
	}

	return f
}

// configured tells whether a machine has had its configuration since it has its server: by what it told, by its Node, or because it fetched it.
func configured(machine *v1alpha3.MetalMachine, binding *v1alpha3.ServerBinding, server *metal.Server) bool {
	said := binding.Status.Conditions
	if binding.Status.ConfigurationLoadedAt != nil || machine.Status.Conditions.Is(v1alpha3.ConditionProviderSet, corev1.ConditionTrue) ||
		said.Is(v1alpha3.ConditionTalosConfigLoaded, corev1.ConditionTrue) || said.Is(v1alpha3.ConditionTalosInstalled, corev1.ConditionTrue) {
		return true
	}

	return server.Status.HasStep(metal.StepConfig, binding.CreationTimestamp.Time)
}
