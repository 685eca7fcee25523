// Package machineconfig makes the machine configurations of Talos nodes: from the secrets of a cluster, by the version of Talos
// that reads them, with the patches of their owner; and the client configuration by which talosctl reaches the nodes.
//
// It knows Talos and no Kubernetes API. None of its errors hold what may be secret: they name places in documents, not what is there.
package machineconfig
