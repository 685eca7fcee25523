// Package environment sees that the kernels and initial RAM disks that Environments name are here, and tells in their status
// how far they are. It keeps the Environments of the name default in existence, one for each architecture, and brings them
// up to date with the appliance as long as nobody has edited them.
//
// What downloads is assets/download; what is on the disk is assets/store.
package environment
