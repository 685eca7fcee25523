// Package disk says what disks a machine has, what identifies each, and what lies on
// it: the facts that a wipe is decided on.
//
// List reads sysfs and opens nothing. Inspect opens the disks, for reading only, and
// adds what takes input and output to know: partition tables, file systems and their
// labels, and how a disk can erase itself.
//
// The image has no udev, so the names below /dev/disk that people use to tell disks
// apart are worked out here, as udev does (its rules 60-persistent-storage.rules and
// its programs ata_id, scsi_id, usb_id and path_id; systemd 252, which is Debian 12's).
package disk
