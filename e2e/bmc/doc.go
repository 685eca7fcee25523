// Package bmc gives the lab's virtual machines a power button, and BMCs that press it: one that speaks IPMI and one that
// speaks Redfish.
//
// They are the witnesses of tests: what a BMC was told to change is in its log, and what was written to a machine's disks in
// QEMU's counters, whatever the appliance says of itself.
package bmc
