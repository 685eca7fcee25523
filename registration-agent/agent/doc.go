// Package agent is what the registration agent does, in order: read the kernel's
// arguments, load drivers, bring the network up, describe the machine, register it,
// and then wait for orders, showing who it is and how to accept it.
//
// It never gives up: a step that fails is shown with its cause and what to check, and is
// tried again. Disks are written to, and the machine is restarted, only by an order of
// the appliance, and a wipe only after the appliance has its plan and has said again that
// it is to begin. A server that gives no orders, such as Sidero's, is registered with and
// nothing more. The protocol is that of package api, served in plain text.
package agent
