// Package v1alpha2 holds the types of metal.sidero.dev/v1alpha2: Environment, Server and ServerClass.
//
// It is the group's newest version and therefore also its hub: what is stored in etcd has these shapes. Field names,
// JSON keys and meanings are those of Sidero Metal 0.6, so that its users' manifests apply unmodified. Only types and
// what is read off them live here; serving them is the task of apiserver/registry/metal.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.sidero.metal.v1alpha2
// +groupName=metal.sidero.dev
package v1alpha2
