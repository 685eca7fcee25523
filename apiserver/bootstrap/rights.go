package bootstrap

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Namespace is where the appliance keeps objects of its own.
const Namespace = "sidero-system"

// talosBootstrapNamespace is where upstream keeps the Talos bootstrap provider and its Lease.
const talosBootstrapNamespace = "cabpt-system"

// talosControlPlaneNamespace is where upstream keeps the Talos control plane provider and its Lease.
const talosControlPlaneNamespace = "cacppt-system"

const rbacGroup = "rbac.authorization.k8s.io"

// Users of the appliance's components. What each may do is listed in components.
var (
	// Controllers is the user of the controllers of metal.sidero.dev, whose cache the boot server reads too.
	Controllers = user.DefaultInfo{Name: "sidero:controllers"}
	// ClusterAPIControllers is the user of Cluster API's reconcilers.
	ClusterAPIControllers = user.DefaultInfo{Name: "sidero:cluster-api-controllers"}
	// Infrastructure is the user of the controllers that give Cluster API's machines their servers.
	Infrastructure = user.DefaultInfo{Name: "sidero:infrastructure"}
	// TalosBootstrap is the user of the controllers that make Talos's machine configurations.
	TalosBootstrap = user.DefaultInfo{Name: "sidero:talos-bootstrap"}
	// TalosControlPlane is the user of the controllers that keep the control planes of Talos clusters.
	TalosControlPlane = user.DefaultInfo{Name: "sidero:talos-control-plane"}
	// Registration is the user of the service that machines register with.
	Registration = user.DefaultInfo{Name: "sidero:registration"}
	// Metadata is the user of what hands out machine configurations.
	Metadata = user.DefaultInfo{Name: "sidero:metadata"}
	// ClusterAPI is the user of Cluster API's webhooks.
	ClusterAPI = user.DefaultInfo{Name: "sidero:cluster-api"}
)

type rules = []*rbacv1ac.PolicyRuleApplyConfiguration

type component struct {
	user user.DefaultInfo
	// everywhere are the rights in all namespaces and outside of them, in those in one namespace only.
	everywhere rules
	in         map[string]rules
}

// components are the users and their rights: nothing that they do not use.
func components() []component {
	events := allow("events.k8s.io", "events")("create", "patch")
	leases := allow("coordination.k8s.io", "leases")("get", "create", "update")

	return []component{
		{
			user: Controllers,
			everywhere: rules{
				allow(v1alpha2.GroupName, "environments", "serverclasses")("get", "list", "watch", "create", "patch"),
				allow(v1alpha2.GroupName, "servers")("get", "list", "watch", "patch"),
				allow(v1alpha2.GroupName, "servers/status", "serverclasses/status", "environments/status")("patch"),
				allow(v1alpha3.GroupName, "serverbindings")("get", "list", "watch"),
				allow("", "secrets")("get"), // of BMCs and smart plugs, in any namespace
				events,
			},
			in: map[string]rules{Namespace: {leases}},
		},
		{
			user: Registration,
			everywhere: rules{
				allow(v1alpha2.GroupName, "servers")("get", "create", "patch"),
				allow(v1alpha2.GroupName, "servers/status")("get", "patch"),
				allow(v1alpha2.GroupName, "serverclasses")("list"), // which disks are wiped
				allow(v1alpha3.GroupName, "serverbindings")("get"),
				events,
			},
			in: map[string]rules{
				metav1.NamespaceDefault: {allow("", "secrets")("get", "create", "patch")}, // where upstream keeps those of BMCs
			},
		},
		{
			user:       ClusterAPIControllers,
			everywhere: append(clusterAPIRules(), events),
			in: map[string]rules{
				clusterAPINamespace: {leases},
			},
		},
		{
			user: Infrastructure,
			everywhere: rules{
				allow(v1alpha3.GroupName, "metalclusters", "metalmachines")("get", "list", "watch", "patch"),
				allow(v1alpha3.GroupName, "serverbindings")("get", "list", "watch", "create", "patch", "delete"),
				allow(v1alpha3.GroupName, "metalremediations")("get", "list", "watch"),
				allow(v1alpha3.GroupName, "metalclusters/status", "metalmachines/status", "metalremediations/status", "serverbindings/status")("patch"),
				allow(v1alpha2.GroupName, "servers", "serverclasses")("get", "list", "watch"),
				allow(v1alpha2.GroupName, "servers", "servers/status")("patch"), // to ask for power cycles, and to tell of those that nodes did
				allow("cluster.x-k8s.io", "clusters", "machines")("get", "list", "watch"),
				allow("", "secrets")("get", "list", "watch", "patch"), // the kubeconfigs and the secrets of clusters; kept are their names only
				allow("cluster.x-k8s.io", "machines")("delete"),       // that no power cycle helps
				allow("cluster.x-k8s.io", "machines/status")("patch"),
				events,
			},
			in: map[string]rules{Namespace: {leases}},
		},
		{
			user: TalosBootstrap,
			everywhere: rules{
				allow("bootstrap.cluster.x-k8s.io", "talosconfigs")("get", "list", "watch", "patch"),
				allow("bootstrap.cluster.x-k8s.io", "talosconfigs/status")("patch"),
				allow("cluster.x-k8s.io", "clusters", "machines")("get", "list", "watch"),
				allow("", "secrets")("get", "create", "patch"), // of clusters and machines, in any namespace
				events,
			},
			in: map[string]rules{talosBootstrapNamespace: {leases}},
		},
		{
			user: Metadata,
			everywhere: rules{
				allow(v1alpha3.GroupName, "metalmachines")("get"),
				allow(v1alpha3.GroupName, "serverbindings")("get", "patch"), // the machines' ends of SideroLink, and their addresses
				allow(v1alpha3.GroupName, "serverbindings/status")("patch"), // boot windows, and what machines say of themselves
				allow("cluster.x-k8s.io", "machines")("get"),
				allow("bootstrap.cluster.x-k8s.io", "talosconfigs")("get"),
				allow("", "secrets")("get"), // the configurations, in any namespace
				events,
			},
			in: map[string]rules{
				metav1.NamespaceDefault: {allow("", "secrets")("create")},                        // SideroLink's, as Sidero has it
				Namespace:               {allow("", "secrets", "configmaps")("create", "patch")}, // what was fetched, and where nodes report to
			},
		},
		{
			user: TalosControlPlane,
			everywhere: rules{
				allow("controlplane.cluster.x-k8s.io", "taloscontrolplanes")("get", "list", "watch", "patch"),
				allow("controlplane.cluster.x-k8s.io", "taloscontrolplanes/status")("patch"),
				allow("cluster.x-k8s.io", "clusters")("get", "list", "watch"),
				allow("cluster.x-k8s.io", "machines")("get", "list", "watch", "create", "patch", "delete"),
				allow("cluster.x-k8s.io", "machines/status")("patch"), // whether they are up to date
				allow("bootstrap.cluster.x-k8s.io", "talosconfigs")("get", "list", "create"),
				allow(v1alpha3.GroupName, "metalmachinetemplates")("get"),
				allow(v1alpha3.GroupName, "metalmachines")("create"),
				allow(v1alpha2.GroupName, "serverclasses")("get"), // whether there is a spare server
				allow(v1alpha2.GroupName, "servers")("list"),
				allow(v1alpha3.GroupName, "serverbindings")("list"),
				allow(apiextensionsGroup, "customresourcedefinitions")("get"), // which version of a template the contract names
				allow("", "secrets")("get", "create", "patch"),                // of clusters, in any namespace
				events,
			},
			in: map[string]rules{talosControlPlaneNamespace: {leases}},
		},
		{
			user: ClusterAPI,
			everywhere: rules{
				allow(apiextensionsGroup, "customresourcedefinitions")("get", "list", "watch"),
				allow("cluster.x-k8s.io", "clusterclasses")("get"),
				allow("cluster.x-k8s.io", "clusters", "machinedeployments", "machinepools", "machines")("list"),
				allow("controlplane.cluster.x-k8s.io", "*")("get"), // nobody knows beforehand what kinds a further provider has
				allow("ipam.cluster.x-k8s.io", "ipaddressclaims")("get"),
				allow("", "secrets")("get"), // the kubeconfigs of clusters whose Nodes' versions it checks
			},
		},
	}
}

func allow(group string, resources ...string) func(verbs ...string) *rbacv1ac.PolicyRuleApplyConfiguration {
	return func(verbs ...string) *rbacv1ac.PolicyRuleApplyConfiguration {
		return rbacv1ac.PolicyRule().WithAPIGroups(group).WithResources(resources...).WithVerbs(verbs...)
	}
}
