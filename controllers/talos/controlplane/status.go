package controlplane

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// report is what a status is written of, besides the facts.
type report struct {
	decided decision
	failed  error
}

// describeStatus writes the fields of both contracts.
func (r *reconciler) describeStatus(s *scene, seen report) {
	status := &s.plane.Status
	status.ObservedGeneration = s.plane.Generation
	status.Replicas, status.ReadyReplicas = int64(len(s.machines)), 0
	available, current := int64(0), int64(0)

	for i, m := range s.machines {
		if conditions.IsTrue(&m, clusterv1.MachineReadyCondition) {
			status.ReadyReplicas++
		}

		if conditions.IsTrue(&m, clusterv1.MachineAvailableCondition) {
			available++
		}

		if !s.facts.machines[i].outdated {
			current++
		}
	}

	status.AvailableReplicas, status.UpToDateReplicas = ptr.To(available), ptr.To(current)
	status.UnavailableReplicas = max(0, max(int64(s.facts.wanted), status.Replicas)-status.ReadyReplicas)
	status.Versions = versions(s.machines)
	status.Version = ""

	if len(status.Versions) > 0 {
		status.Version = status.Versions[0].Version
	}

	if s.cluster != nil {
		status.Selector = fmt.Sprintf("%s=%s,%s=%s", clusterv1.ClusterNameLabel, s.cluster.Name,
			clusterv1.MachineControlPlaneNameLabel, s.plane.Name)
	}

	status.Ready = s.facts.answers
	if s.facts.answers {
		status.Initialized = true
		status.Initialization = &v1alpha3.Initialization{ControlPlaneInitialized: ptr.To(true)}
	}

	describeConditions(s, seen)
}

// versions counts machines by their version, the oldest first.
func versions(machines []clusterv1.Machine) []v1alpha3.VersionCount {
	var counts []v1alpha3.VersionCount

	for _, m := range machines {
		at := slices.IndexFunc(counts, func(c v1alpha3.VersionCount) bool { return c.Version == m.Spec.Version })
		if at < 0 {
			at, counts = len(counts), append(counts, v1alpha3.VersionCount{Version: m.Spec.Version})
		}

		counts[at].Replicas++
	}

	slices.SortFunc(counts, func(a, b v1alpha3.VersionCount) int {
		parsed, err := version.ParseGeneric(a.Version)
		if err != nil {
			return cmp.Compare(a.Version, b.Version)
		}

		order, err := parsed.Compare(b.Version)
		if err != nil {
			return cmp.Compare(a.Version, b.Version)
		}

		return order
	})

	return counts
}

// describeConditions writes one condition after the other, the most telling first: the summary is the first that is not True.
func describeConditions(s *scene, seen report) {
	f, d := s.facts, seen.decided
	active := f.active()
	told := cmp.Or(d.message, "a machine is being added, or told to begin etcd")
	all := []metal.Condition{
		{Type: v1alpha3.MachinesCreatedCondition, Status: corev1.ConditionTrue},
		check(v1alpha3.MachinesBootstrappedCondition, s.plane.Status.Bootstrapped, cmp.Or(d.reason, v1alpha3.ReasonWaitingForMachines), told),
		check(v1alpha3.AvailableCondition, f.answers, cmp.Or(d.reason, v1alpha3.ReasonWaitingForTalosBoot),
			"the API of the cluster does not answer at the control plane endpoint: check that it leads to the machines"),
		check(v1alpha3.EtcdClusterHealthyCondition, !f.bootstrapped || f.etcd && len(f.strangers) == 0 && well(active),
			v1alpha3.ReasonEtcdUnhealthy, f.etcdTrouble()),
		remediated(f, d),
		upToDate(f, d),
		resized(f, d),
	}

	if seen.failed != nil {
		all[0] = failure(d.action, seen.failed)
	}

	summary := metal.Condition{Status: corev1.ConditionTrue}

	written := contract.Conditions(s.plane.Status.Conditions, contract.Pause(s.plane, s.cluster))
	for _, c := range all {
		written = contract.Conditions(written, c)

		if summary.Status == corev1.ConditionTrue && c.Status != corev1.ConditionTrue {
			summary = c
		}
	}

	if f.deleted {
		summary = metal.Condition{Status: corev1.ConditionFalse, Severity: metal.SeverityInfo, Reason: d.reason, Message: d.message}
	}

	summary.Type = v1alpha3.ReadyCondition
	s.plane.Status.Conditions = contract.Conditions(written, summary)
}

// etcdTrouble tells what is the matter with etcd.
func (f facts) etcdTrouble() string {
	switch ill := unwell(f.active()); {
	case !f.etcd:
		return "no majority of etcd's members answers: " + ill
	case ill != "":
		return ill
	case f.unsure() != "":
		return fmt.Sprintf("%d members are of no machine that is known; they are removed when %s tells which is its own", len(f.strangers), f.unsure())
	default:
		return fmt.Sprintf("%d members are of no machine; they are removed", len(f.strangers))
	}
}

// remediated tells of machines that are unhealthy, and why one is not replaced.
func remediated(f facts, d decision) metal.Condition {
	healthy := !slices.ContainsFunc(f.active(), func(m machine) bool { return m.flagged })
	c := check(v1alpha3.MachinesHealthyCondition, healthy, v1alpha3.ReasonRemediating, cmp.Or(d.message, "an unhealthy machine is being replaced"))

	if !healthy && d.reason == v1alpha3.ReasonRemediationRefused {
		c.Severity, c.Reason = metal.SeverityWarning, d.reason
	}

	return c
}

// upToDate tells how far machines are from what they should be made of, or run.
func upToDate(f facts, d decision) metal.Condition {
	reason := v1alpha3.ReasonRollingUpdate
	upgrading := slices.Contains([]string{
		v1alpha3.ReasonUpgradingTalos, v1alpha3.ReasonUpgradingKubernetes, v1alpha3.ReasonUpgradeFailed,
	}, d.reason)

	if upgrading {
		reason = d.reason
	}

	current := !upgrading && !slices.ContainsFunc(f.active(), func(m machine) bool { return m.outdated })
	message := cmp.Or(d.message, "machines are being replaced")

	if f.onDelete && !upgrading {
		message = "machines are replaced when a person deletes them"
	}

	c := check(v1alpha3.MachinesSpecUpToDateCondition, current, reason, message)
	if d.reason == v1alpha3.ReasonUpgradeFailed {
		c.Severity = metal.SeverityWarning
	}

	return c
}

func resized(f facts, d decision) metal.Condition {
	reason := v1alpha3.ReasonScalingUp
	if len(f.machines) > f.wanted {
		reason = v1alpha3.ReasonScalingDown
	}

	return check(v1alpha3.ResizedCondition, len(f.machines) == f.wanted && len(f.active()) == f.wanted, reason,
		cmp.Or(d.message, fmt.Sprintf("there are %d machines, %d are wanted", len(f.machines), f.wanted)))
}

func check(kind metal.ConditionType, well bool, reason, message string) metal.Condition {
	if well {
		return metal.Condition{Type: kind, Status: corev1.ConditionTrue}
	}

	return metal.Condition{Type: kind, Status: corev1.ConditionFalse, Severity: metal.SeverityInfo, Reason: reason, Message: message}
}

// failure is of machines that cannot be made, or of what else could not be done, which is of etcd.
func failure(doing action, err error) metal.Condition {
	c := metal.Condition{
		Type: v1alpha3.MachinesCreatedCondition, Status: corev1.ConditionFalse, Severity: metal.SeverityError,
		Reason: v1alpha3.ReasonMachineGenerationFailed, Message: err.Error(),
	}

	if doing != create {
		c.Reason = v1alpha3.ReasonStepFailed
	}

	return c
}

// record writes the status, and tells people of what is new and bad.
func (r *reconciler) record(ctx context.Context, before, plane *v1alpha3.TalosControlPlane) error {
	if apiequality.Semantic.DeepEqual(before.Status, plane.Status) {
		return nil
	}

	patch := client.MergeFrom(before)
	written := before.DeepCopy()
	written.Status = plane.Status

	if err := r.client.Status().Patch(ctx, written, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write status of TalosControlPlane %s: %w", plane.Name, err)
	}

	for _, is := range plane.Status.Conditions {
		was, _ := before.Status.Conditions.Find(is.Type)
		if is.Type == v1alpha3.ReadyCondition || is.Severity != metal.SeverityError && is.Severity != metal.SeverityWarning {
			continue
		}

		if was.Reason != is.Reason || was.Message != is.Message {
			r.events.Eventf(plane, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
		}
	}

	return nil
}
