// Package siderolink gives machines their place in SideroLink, a WireGuard network of each machine and the appliance: the addresses,
// which are those that Sidero derives, and siderolink's ProvisionService, by which a machine joins.
//
// The package knows machines by an interface, and no Kubernetes.
package siderolink
