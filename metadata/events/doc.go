// Package events takes in what Talos tells of itself over SideroLink, by siderolink's EventSinkService, and decides what that says
// about the machine: the conditions that Sidero has on a ServerBinding, its addresses, and the steps of its boot.
//
// Decide is the whole of the decision, a function without side effects. The package knows no Kubernetes.
package events
