package bootstrap

import (
	"context"
	"fmt"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
)

const (
	// clusterAPINamespace is where upstream keeps Cluster API's manager and its Lease.
	clusterAPINamespace = "capi-system"

	// aggregatedRole collects the rights on the kinds of further providers that their manifests give to Cluster API's manager
	// by a label. The name is that of upstream's.
	aggregatedRole   = "capi-aggregated-manager-role"
	aggregateManager = "cluster.x-k8s.io/aggregate-to-manager"
)

// clusterAPIRules are the rights of Cluster API's reconcilers: those of upstream's manager, without what only its webhooks
// and its migrator of stored objects need. Nobody knows beforehand what kinds a further provider has; the contract is that
// they lie in one of the three groups for providers, and so all of these may be written.
func clusterAPIRules() rules {
	read, write := []string{"get", "list", "watch"}, []string{"get", "list", "watch", "create", "update", "patch", "delete"}

	return rules{
		allow("", "namespaces")(read...),
		allow("", "secrets")(write...),
		allow("", "configmaps")("get", "list", "watch", "update", "patch", "delete"),
		allow("", "events")("create", "patch"),
		allow(apiextensionsGroup, "customresourcedefinitions")(read...),
		allow("bootstrap.cluster.x-k8s.io", "*")(write...),
		allow("controlplane.cluster.x-k8s.io", "*")(write...),
		allow("infrastructure.cluster.x-k8s.io", "*")(write...),
		allow("runtime.cluster.x-k8s.io", "extensionconfigs")(read...),
		allow("addons.cluster.x-k8s.io", "clusterresourcesets", "clusterresourcesets/status", "clusterresourcesets/finalizers",
			"clusterresourcesetbindings", "clusterresourcesetbindings/finalizers")(write...),
		allow("cluster.x-k8s.io", "clusterclasses", "clusterclasses/status", "clusters", "clusters/status", "clusters/finalizers",
			"machinedrainrules")("get", "list", "watch", "update", "patch"),
		allow("cluster.x-k8s.io",
			"machines", "machines/status", "machines/finalizers",
			"machinesets", "machinesets/status", "machinesets/finalizers",
			"machinedeployments", "machinedeployments/status", "machinedeployments/finalizers",
			"machinepools", "machinepools/status", "machinepools/finalizers",
			"machinehealthchecks", "machinehealthchecks/status", "machinehealthchecks/finalizers")(write...),
	}
}

// applyAggregatedRole gives Cluster API's reconcilers what further providers' manifests grant them, and the controller of control planes,
// which makes machines of their infrastructure.
func (b *Bootstrap) applyAggregatedRole(ctx context.Context) error {
	role := rbacv1ac.ClusterRole(aggregatedRole).WithAggregationRule(rbacv1ac.AggregationRule().WithClusterRoleSelectors(
		metav1ac.LabelSelector().WithMatchLabels(marks(aggregateManager))))
	if err := b.applyRole(ctx, role); err != nil {
		return err
	}

	binding := rbacv1ac.ClusterRoleBinding(aggregatedRole).WithRoleRef(reference("ClusterRole", aggregatedRole)).
		WithSubjects(subject(ClusterAPIControllers.Name), subject(TalosControlPlane.Name))
	if _, err := b.client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, own()); err != nil {
		return fmt.Errorf("apply cluster role binding %s: %w", aggregatedRole, err)
	}

	return nil
}
