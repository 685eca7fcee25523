package workload

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resource is one that is served.
type resource struct {
	schema.GroupVersion

	name, kind string
	namespaced bool
}

// resources are Nodes and Leases, and what Cluster API looks for when it drains a Node.
func resources() []resource {
	core := schema.GroupVersion{Version: "v1"}

	return []resource{
		{core, "nodes", "Node", false},
		{schema.GroupVersion{Group: "coordination.k8s.io", Version: "v1"}, "leases", "Lease", true},
		{core, "namespaces", "Namespace", false},
		{core, "pods", "Pod", true},
		{core, "configmaps", "ConfigMap", true},
		{core, "secrets", "Secret", true},
		{core, "persistentvolumes", "PersistentVolume", false},
		{core, "persistentvolumeclaims", "PersistentVolumeClaim", true},
		{schema.GroupVersion{Group: "apps", Version: "v1"}, "daemonsets", "DaemonSet", true},
		{schema.GroupVersion{Group: "storage.k8s.io", Version: "v1"}, "volumeattachments", "VolumeAttachment", false},
	}
}

func find(group, name string) (resource, bool) {
	all := resources()

	at := slices.IndexFunc(all, func(r resource) bool { return r.Group == group && r.name == name })
	if at < 0 {
		return resource{}, false
	}

	return all[at], true
}

// groups are those that /apis lists.
func groups() *metav1.APIGroupList {
	list := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}

	for _, r := range resources() {
		if r.Group == "" {
			continue
		}

		version := metav1.GroupVersionForDiscovery{GroupVersion: r.GroupVersion.String(), Version: r.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: r.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
		})
	}

	return list
}

// resourcesOf are those that a group lists.
func resourcesOf(group, version string) *metav1.APIResourceList {
	list := &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: schema.GroupVersion{Group: group, Version: version}.String(),
	}

	for _, r := range resources() {
		if r.Group == group && r.Version == version {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: r.name, Kind: r.kind, Namespaced: r.namespaced,
				Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"},
			})
		}
	}

	return list
}
