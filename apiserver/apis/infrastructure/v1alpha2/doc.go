// Package v1alpha2 holds the types of infrastructure.cluster.x-k8s.io/v1alpha2, the group's older version. Nothing is
// stored in these shapes: objects are converted to and from v1alpha3 as they come and go
// (apiserver/registry/infrastructure).
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.x-k8s.cluster.infrastructure.v1alpha2
// +groupName=infrastructure.cluster.x-k8s.io
package v1alpha2
