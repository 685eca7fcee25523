// Package inventory describes the hardware of a machine in the terms of the agent's
// protocol: system, processors and memory from the SMBIOS tables (DMTF DSP0134), disks
// from sysfs, network interfaces from the kernel. It follows what Sidero Metal's agent
// collects, so that a Server looks the same whichever agent registered it.
//
// It reports what it finds and judges nothing: what to think of a UUID of all zeros is
// the appliance's business. It opens no device.
package inventory
