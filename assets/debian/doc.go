// Package debian fetches binary packages from the Debian archive at build time:
// the kernel that the registration agent boots on, firmware for its drivers, and iPXE.
//
// What is downloaded is vouched for by apt: packages are named by indexes that
// Debian's archive keys sign, and are checked against the SHA-256 found there each
// time they are used. What was once unpacked from a checked package is used again
// without a check: the cache has to be this user's own. The mirrors and proxies are those of this machine's own apt
// configuration; its state (lists, cache, dpkg's database) is neither read nor
// written. A fixed version number cannot be asked for, because mirrors drop old
// versions: which one was used is returned, to be recorded.
//
// Nothing here runs inside the appliance.
package debian
