// Package simulator is a BMC to test with, over IPMI 2.0 on loopback. It has what OpenIPMI's ipmi_sim lacks: cipher suites
// 17, 8 and 12, the boot flags with the EFI flag, a log of commands to be a witness, and what bad BMCs do. A test holds it to
// what ipmitool accepts.
package simulator
