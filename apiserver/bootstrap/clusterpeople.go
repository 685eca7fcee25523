package bootstrap

import rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

// clusterAPIParts are the rights of people on Cluster API's own kinds, all kinds in one role each: these are not to be had
// one by one.
func clusterAPIParts() []part {
	return []part{
		{
			name:   "sidero:aggregate-to-viewer:cluster-api",
			labels: []string{aggregateToViewer, aggregateToView},
			rules:  clusterAPIKinds([]string{"get", "list", "watch"}, "status", "scale"),
		},
		{
			name:   "sidero:aggregate-to-operator:cluster-api",
			labels: []string{aggregateToOperator, aggregateToEdit},
			rules:  clusterAPIKinds([]string{"create", "update", "patch", "delete"}, "scale"),
		},
		{
			name:   "sidero:aggregate-to-admin:cluster-api",
			labels: []string{aggregateToAdmin, aggregateToKubeAdmin},
			// An ExtensionConfig has Cluster API call an address with what it knows of every cluster.
			rules: append(clusterAPIKinds([]string{"*"}, "status", "scale"),
				allow("runtime.cluster.x-k8s.io", "extensionconfigs", "extensionconfigs/status")("*")),
		},
	}
}

// clusterAPIKinds are the rules for the verbs on the kinds and those of their subresources that are named.
func clusterAPIKinds(verbs []string, subresources ...string) []*rbacv1ac.PolicyRuleApplyConfiguration {
	groups := []struct {
		name      string
		resources []string
	}{
		{"addons.cluster.x-k8s.io", []string{"clusterresourcesetbindings", "clusterresourcesets"}},
		{"cluster.x-k8s.io", []string{
			"clusterclasses", "clusters", "machinedeployments", "machinedrainrules", "machinehealthchecks", "machinepools", "machines", "machinesets",
		}},
		{"ipam.cluster.x-k8s.io", []string{"ipaddressclaims", "ipaddresses"}},
	}

	var rules []*rbacv1ac.PolicyRuleApplyConfiguration

	for _, group := range groups {
		paths := group.resources

		for _, resource := range group.resources {
			for _, subresource := range subresources {
				paths = append(paths, resource+"/"+subresource)
			}
		}

		rules = append(rules, allow(group.name, paths...)(verbs...))
	}

	return rules
}
