// Package ipmi is the power driver of machines whose BMC speaks IPMI (v2.0 rev. 1.1, chapters 20 and 28): over the network
// with IPMI 2.0 (lanplus) and 1.5 (lan), and to the BMC of the machine that this runs on (open).
//
// What BMCs do other than the specification says is beside the code that does something about it.
package ipmi
