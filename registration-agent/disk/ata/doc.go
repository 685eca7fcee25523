// Package ata reads what an ATA disk says of itself (IDENTIFY DEVICE data) and encodes
// the commands that make it erase itself: the sanitize and the security feature sets
// of ACS-3 (INCITS 522), wrapped in SCSI's ATA PASS-THROUGH (16) (SAT-4 section 12.2.2),
// which is how Linux takes them, by the ioctl SG_IO (linux uapi scsi/sg.h).
package ata
