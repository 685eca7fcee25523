// Package node is the life of one Talos node between power-on and the next restart, as far as others see it: it finds its
// configuration, installs it, and then is a member of its cluster until somebody asks it to restart.
//
// It stands in for Talos in tests and says so in its log, its version and its Node. What it is started by (a process in a network
// namespace, or the first process of a virtual machine) is not its business: that gives it a Config and does what the Outcome tells.
package node
