package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"

	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

// Groups of people, each with a ClusterRole of the same name that a ClusterRoleBinding of the same name gives it. Whoever
// may do what the next one may, may do what those before may.
const (
	Viewers   = "sidero:viewer"
	Operators = "sidero:operator"
	Admins    = "sidero:admin"
)

const (
	aggregateToViewer   = "rbac.sidero.dev/aggregate-to-viewer"
	aggregateToOperator = "rbac.sidero.dev/aggregate-to-operator"
	aggregateToAdmin    = "rbac.sidero.dev/aggregate-to-admin"

	// Labels of Kubernetes's own view, edit and admin.
	aggregateToView      = "rbac.authorization.k8s.io/aggregate-to-view"
	aggregateToEdit      = "rbac.authorization.k8s.io/aggregate-to-edit"
	aggregateToKubeAdmin = "rbac.authorization.k8s.io/aggregate-to-admin"

	apiextensionsGroup = "apiextensions.k8s.io"

	// confidential are the objects whose status has a key of an administrator of the cluster's nodes, as upstream's. Kubernetes's
	// edit may read Secrets too, and view may not.
	confidential = "talosconfigs"
)

// nativeKinds are the resources that people may have rights on.
func nativeKinds() []nativeKind {
	var kinds []nativeKind

	for _, group := range natives.Groups() {
		for _, name := range slices.Sorted(maps.Keys(group.Kinds)) {
			names := group.Kinds[name].Names()
			kinds = append(kinds, nativeKind{
				GroupResource: schema.GroupResource{Group: group.Hub.Group, Resource: names.Plural},
				subresources:  names.Subresources,
			})
		}
	}

	return kinds
}

// nativeKind is a resource and the names of its subresources.
type nativeKind struct {
	schema.GroupResource

	subresources []string
}

// person is a role that collects the rules of all roles with its label, and that another one collects.
type person struct {
	name  string
	label string
	// next is the label of the role above it, if there is one.
	next string
}

func people() []person {
	return []person{
		{name: Viewers, label: aggregateToViewer, next: aggregateToOperator},
		{name: Operators, label: aggregateToOperator, next: aggregateToAdmin},
		{name: Admins, label: aggregateToAdmin},
	}
}

// part is a role that nobody is bound to: the roles that collect its labels get its rules.
type part struct {
	name   string
	labels []string
	rules  []*rbacv1ac.PolicyRuleApplyConfiguration
}

func parts() []part {
	all := []part{
		{name: "sidero:aggregate-to-viewer", labels: []string{aggregateToViewer}, rules: viewerRules()},
		{name: "sidero:aggregate-to-admin", labels: []string{aggregateToAdmin}, rules: adminRules()},
	}
	for _, kind := range nativeKinds() {
		all = append(all, kindParts(kind)...)
	}

	return append(all, clusterAPIParts()...)
}

// kindParts are the rights on one kind. Status is what controllers found out: only administrators may correct it.
func kindParts(kind nativeKind) []part {
	object := kind.Resource
	change, all := []string{object}, []string{object}

	for _, subresource := range kind.subresources {
		path := object + "/" + subresource
		all = append(all, path)

		if subresource == "scale" {
			change = append(change, path)
		}
	}

	readers := part{
		name:   "sidero:aggregate-to-viewer:" + kind.String(),
		labels: []string{aggregateToViewer, aggregateToView},
		rules:  []*rbacv1ac.PolicyRuleApplyConfiguration{allow(kind.Group, all...)("get", "list", "watch")},
	}
	if kind.Resource == confidential {
		readers.name, readers.labels = "sidero:aggregate-to-operator:read-"+kind.String(), []string{aggregateToOperator, aggregateToEdit}
	}

	return []part{
		readers,
		{
			name:   "sidero:aggregate-to-operator:" + kind.String(),
			labels: []string{aggregateToOperator, aggregateToEdit},
			rules:  []*rbacv1ac.PolicyRuleApplyConfiguration{allow(kind.Group, change...)("create", "update", "patch", "delete")},
		},
		{
			name:   "sidero:aggregate-to-admin:" + kind.String(),
			labels: []string{aggregateToAdmin, aggregateToKubeAdmin},
			rules:  []*rbacv1ac.PolicyRuleApplyConfiguration{allow(kind.Group, all...)("*")},
		},
	}
}

func viewerRules() []*rbacv1ac.PolicyRuleApplyConfiguration {
	read := []string{"get", "list", "watch"}

	return []*rbacv1ac.PolicyRuleApplyConfiguration{
		allow("", "events", "namespaces")(read...),
		allow("events.k8s.io", "events")(read...),
		allow(apiextensionsGroup, "customresourcedefinitions")(read...), // clusterctl finds kinds by them
		allow(clusterctlv1.GroupVersion.Group, "providers")(read...),    // and versions by these
	}
}

// adminRules let an administrator keep the secrets that servers and clusters refer to, and hand out rights: at most those
// that the administrator has, as everywhere in Kubernetes.
func adminRules() []*rbacv1ac.PolicyRuleApplyConfiguration {
	return []*rbacv1ac.PolicyRuleApplyConfiguration{
		allow("", "secrets", "configmaps", "serviceaccounts", "namespaces")(
			"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
		allow("", "serviceaccounts/token")("create"),
		allow(rbacGroup, "roles", "rolebindings", "clusterroles", "clusterrolebindings")(
			"get", "list", "watch", "create", "update", "patch", "delete"),
	}
}

// applyPerson applies a role for people. The rules of those that collect are written by Kubernetes's own controller.
func (b *Bootstrap) applyPerson(ctx context.Context, p person) error {
	role := rbacv1ac.ClusterRole(p.name).WithAggregationRule(rbacv1ac.AggregationRule().WithClusterRoleSelectors(
		metav1ac.LabelSelector().WithMatchLabels(marks(p.label))))
	if p.next != "" {
		role.WithLabels(marks(p.next))
	}

	if err := b.applyRole(ctx, role); err != nil {
		return err
	}

	binding := rbacv1ac.ClusterRoleBinding(p.name).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacGroup).WithKind("ClusterRole").WithName(p.name)).
		WithSubjects(rbacv1ac.Subject().WithAPIGroup(rbacGroup).WithKind("Group").WithName(p.name))
	if _, err := b.client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, peopleOptions()); err != nil {
		return fmt.Errorf("apply cluster role binding %s: %w", p.name, err)
	}

	return nil
}

func (b *Bootstrap) applyRole(ctx context.Context, role *rbacv1ac.ClusterRoleApplyConfiguration) error {
	if _, err := b.client.RbacV1().ClusterRoles().Apply(ctx, role, peopleOptions()); err != nil {
		return fmt.Errorf("apply cluster role %s: %w", *role.Name, err)
	}

	return nil
}

func peopleOptions() metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
}

func marks(labels ...string) map[string]string {
	m := make(map[string]string, len(labels))
	for _, label := range labels {
		m[label] = "true"
	}

	return m
}
