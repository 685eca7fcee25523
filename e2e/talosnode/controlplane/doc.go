// Package controlplane is Kubernetes's on a control plane node: a real API server, those controllers of the controller manager that
// make Nodes ready and sign kubelets' certificates, and what Talos puts into a new cluster for kubelets to join it.
package controlplane
