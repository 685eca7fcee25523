// Package modules loads the kernel modules that the devices of a machine ask for.
//
// It is what udev and modprobe do elsewhere, cut down to a fixed set of modules: each
// device names itself in sysfs by its modalias, each module names the devices it
// drives by patterns (its aliases), and the index written by the image builder joins
// the two. The facts come from MODULE_ALIAS, depends and softdep in the .modinfo
// section of each module, and what drivers ask modprobe for by name, which is not here,
// from the image builder.
//
// No module is ever unloaded and no parameters are passed.
package modules
