// Package v1alpha3 holds the types of infrastructure.cluster.x-k8s.io/v1alpha3: what Cluster API makes of servers.
//
// It is the group's newest version and therefore also its hub: what is stored in etcd has these shapes. Field names, JSON
// keys and meanings are those of Sidero Metal 0.6. Its kinds keep Cluster API's contract v1beta1, as upstream's do, and
// v1beta2 as well: fields that only v1beta2 knows (status.initialization.provisioned) are added, none is changed. See
// https://cluster-api.sigs.k8s.io/developer/providers/contracts/overview for the contracts.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.x-k8s.cluster.infrastructure.v1alpha3
// +groupName=infrastructure.cluster.x-k8s.io
package v1alpha3
