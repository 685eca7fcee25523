// Package specimen makes disk images of everything that may lie on a disk, for the
// tests of the packages that look for it and that clear it. Images come from the tools
// that people use, as Debian packages them: btrfs-progs, bcache-tools, cryptsetup-bin,
// dosfstools, e2fsprogs, exfatprogs, f2fs-tools, fdisk, gdisk, genisoimage, jfsutils,
// lvm2, nilfs-tools, ntfs-3g, reiserfsprogs, squashfs-tools, udftools, util-linux,
// xfsprogs. What no tool makes without a kernel that has the thing (md, ZFS) or without
// a large one (ceph) is made here, by the format's definition, and util-linux's blkid
// and mdadm are asked whether they take it.
package specimen
