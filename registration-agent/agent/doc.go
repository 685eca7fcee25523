// Package agent is what the registration agent does, in order: read the kernel's
// arguments, load drivers, bring the network up, describe the machine, register it,
// and then wait, showing who it is and how to accept it.
//
// It never gives up and never reboots: a step that fails is shown with its cause and
// what to check, and is tried again. It contains nothing that writes to a disk. The
// protocol is that of package api, served in plain text.
package agent
