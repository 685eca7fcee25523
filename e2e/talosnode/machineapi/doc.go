// Package machineapi serves a node's machine API as Talos does: gRPC on port 50000, with certificates of the cluster's authority on
// both sides, and for each caller what the roles in the certificate allow.
//
// It is apid and machined in one: a node answers for itself, and passes no call on to others.
package machineapi
