// Package apiserver is the appliance's Kubernetes-style API server: one process-internal chain of an aggregator,
// Kubernetes's generic groups (namespaces, secrets, events, RBAC and so on, without workloads), the layer of custom
// resources, and the native groups.
//
// The custom resources come before the native groups: their handler passes on what it does not serve, while a native
// group claims every path below its name, so in the other order a custom resource in a further version of a native
// group would be hidden.
package apiserver
