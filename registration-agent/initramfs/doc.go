// Package initramfs makes what a Linux kernel unpacks before it starts /init: the
// archive, and in it modules of Debian's kernel with the index by which package modules
// loads them. It knows nothing of what /init does.
//
// Equal input makes equal bytes. Nothing here runs on a machine that boots.
package initramfs
