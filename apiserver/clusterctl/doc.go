// Package clusterctl makes the appliance look to clusterctl like a management cluster in which Cluster API, Sidero and the
// Talos providers are installed, and keeps clusterctl from upgrading or deleting them: they are parts of the program.
//
// clusterctl's inventory is a custom resource, Provider. It decides from it which provider's templates to fetch, in which
// version, and what init has still to install. The entries are written at each start; Guard keeps them.
//
// The package knows no other custom resources of Cluster API, and no objects of clusters.
package clusterctl
