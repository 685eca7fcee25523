package controlplane

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tellMachines writes on each Machine whether it is made of what is wanted, which Cluster API leaves to who owns it (contract v1beta2,
// condition UpToDate). What it cannot write now it writes the next time.
func (r *reconciler) tellMachines(ctx context.Context, s *scene) error {
	var errs []error

	for i := range s.machines {
		if s.facts.machines[i].deleting {
			continue
		}

		wanted := currency(s.facts.machines[i])
		if is := conditions.Get(&s.machines[i], wanted.Type); is != nil && is.Status == wanted.Status && is.Reason == wanted.Reason {
			continue
		}

		err := r.tellMachine(ctx, s.machines[i].DeepCopy(), wanted)
		if err != nil && !apierrors.IsConflict(err) {
			errs = append(errs, client.IgnoreNotFound(err))
		}
	}

	return errors.Join(errs...)
}

func (r *reconciler) tellMachine(ctx context.Context, m *clusterv1.Machine, wanted metav1.Condition) error {
	before := m.DeepCopy()
	conditions.Set(m, wanted)

	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, m, patch); err != nil {
		return fmt.Errorf("write condition of Machine %s: %w", m.Name, err)
	}

	return nil
}

// currency is the condition of a machine.
func currency(m machine) metav1.Condition {
	if m.outdated {
		return metav1.Condition{
			Type: clusterv1.MachineUpToDateCondition, Status: metav1.ConditionFalse, Reason: clusterv1.MachineNotUpToDateReason,
			Message: "the control plane wants another version, or another template",
		}
	}

	return metav1.Condition{Type: clusterv1.MachineUpToDateCondition, Status: metav1.ConditionTrue, Reason: clusterv1.MachineUpToDateReason}
}
