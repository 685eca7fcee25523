// Package v1alpha3 holds the types of bootstrap.cluster.x-k8s.io/v1alpha3: TalosConfig, from which the machine configuration
// of a Talos node is made, and its template.
// Field names, JSON keys and meanings are those of the Talos providers for Cluster API, so that their users' manifests
// apply unmodified. The kinds keep Cluster API's contract v1beta1, as upstream's do, and v1beta2 as well: fields that only
// v1beta2 knows are added, none is changed.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.x-k8s.cluster.bootstrap.v1alpha3
// +groupName=bootstrap.cluster.x-k8s.io
package v1alpha3
