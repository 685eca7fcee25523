// Package bmc makes an account for the appliance on a machine's BMC, from inside the
// machine: it finds where the BMC is on the network, makes a user of its own with a
// random password, and lets no other user know. References are to the IPMI
// specification v2.0, revision 1.1.
package bmc
