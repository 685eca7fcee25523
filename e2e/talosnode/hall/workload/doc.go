// Package workload is the least of a Kubernetes API that Cluster API and the product's controllers can work with: Nodes and Leases in
// memory, and empty lists of what they look for before they take a Node away. It is for hundreds of clusters in one process; where
// behaviour matters, a real API server is used instead.
package workload
