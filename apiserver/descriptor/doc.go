// Package descriptor makes and guards the CustomResourceDefinitions that stand beside the native kinds.
//
// Cluster API learns from the labels of a kind's CustomResourceDefinition which contracts it keeps and in which version,
// and clusterctl which kinds it may move. A native kind has no such object of its own, so it gets one that serves no
// version: requests pass it by and reach the native handlers.
//
// It describes and does nothing else. The objects' schemas, their storage and their conversion are the registry's.
package descriptor
