package controlplane

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// report is what a status is written of, besides the facts.
type report struct {
	decided decision
	answers bool // the API of the cluster
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

	status.Ready = seen.answers
	if seen.answers {
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
		check(v1alpha3.AvailableCondition, seen.answers, cmp.Or(d.reason, v1alpha3.ReasonWaitingForTalosBoot),
			"the API of the cluster does not answer at the control plane endpoint: check that it leads to the machines"),
		check(v1alpha3.EtcdClusterHealthyCondition, !f.bootstrapped || f.etcd && len(f.strangers) == 0 && well(active),
			v1alpha3.ReasonEtcdUnhealthy, "not every machine has a member of etcd that is well"),
		check(v1alpha3.MachinesSpecUpToDateCondition, !slices.ContainsFunc(active, func(m machine) bool { return m.outdated }),
			v1alpha3.ReasonRollingUpdate, cmp.Or(d.message, "machines are being replaced")),
		resized(f, d),
	}

	if seen.failed != nil {
		all[0] = failure(d.action, seen.failed)
	}

	summary := metal.Condition{Status: corev1.ConditionTrue}

	for _, c := range all {
		set(&s.plane.Status, c)

		if summary.Status == corev1.ConditionTrue && c.Status != corev1.ConditionTrue {
			summary = c
		}
	}

	if f.deleted {
		summary = metal.Condition{Status: corev1.ConditionFalse, Severity: metal.SeverityInfo, Reason: d.reason, Message: d.message}
	}

	summary.Type = v1alpha3.ReadyCondition
	set(&s.plane.Status, summary)
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

// set sets a condition, whose time is that of its last change.
func set(status *v1alpha3.TalosControlPlaneStatus, condition metal.Condition) {
	condition.LastTransitionTime = metav1.Time{Time: time.Now().Truncate(time.Second)}

	if was, ok := status.Conditions.Find(condition.Type); ok && was.Status == condition.Status && was.Reason == condition.Reason {
		condition.LastTransitionTime = was.LastTransitionTime
	}

	status.Conditions = status.Conditions.With(condition)
}

// record writes the status, and tells people of a failure that is new.
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

	was, _ := before.Status.Conditions.Find(v1alpha3.MachinesCreatedCondition)
	is, _ := plane.Status.Conditions.Find(v1alpha3.MachinesCreatedCondition)

	if is.Severity == metal.SeverityError && was.Message != is.Message {
		r.events.Eventf(plane, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
	}

	return nil
}
