// Package openipmi talks to a machine's own BMC by the device of the kernel's OpenIPMI driver, /dev/ipmi0 (Linux
// Documentation/driver-api/ipmi.rst).
package openipmi
