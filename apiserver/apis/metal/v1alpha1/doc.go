// Package v1alpha1 holds the types of metal.sidero.dev/v1alpha1, the group's older version, which users' older manifests
// speak. Nothing is stored in these shapes: objects are converted to and from v1alpha2 as they come and go
// (apiserver/registry/metal). What both versions say alike is said by v1alpha2's types.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.sidero.metal.v1alpha1
// +groupName=metal.sidero.dev
package v1alpha1
