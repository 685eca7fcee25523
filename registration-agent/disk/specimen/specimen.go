package specimen

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Size is that of each image in bytes: the least that mkfs.xfs takes, and some.
const Size = 320 << 20

// Label is given to all that takes a label. ISO 9660 and FAT have capitals only.
const Label = "PRECIOUS"

// Specimen is one kind of content.
type Specimen struct {
	// Name is unique; Type is blkid's word for it.
	Name, Type string
	// Labelled is set when the content carries Label, where this project reads it.
	Labelled bool
	// tools are the programs that make it; make writes it to an image of zeros.
	tools []string
	make  func(t *testing.T, image string)
}

// Make writes an image of the specimen and returns its path. It skips the test when a
// tool is not installed.
func (s Specimen) Make(t *testing.T) string {
	t.Helper()
	for _, tool := range s.tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; package specimen lists the Debian packages", tool)
		}
	}
	image := filepath.Join(t.TempDir(), s.Name)
	Blank(t, image, Size)
	s.make(t, image)
	return image
}

// Blank makes a sparse file.
func Blank(t *testing.T, path string, size int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// All returns the specimens of what lies on a disk or in a partition.
func All() []Specimen {
	const label = Label
	byTool := func(name, kind string, labelled bool, tool string, arguments ...string) Specimen {
		return Specimen{Name: name, Type: kind, Labelled: labelled, tools: []string{tool}, make: func(t *testing.T, image string) {
			t.Helper()
			Run(t, tool, append(arguments, image)...)
		}}
	}
	specimens := []Specimen{
		byTool("ext4", "ext4", true, "mkfs.ext4", "-q", "-F", "-L", label),
		byTool("xfs", "xfs", true, "mkfs.xfs", "-q", "-L", label),
		byTool("btrfs", "btrfs", true, "mkfs.btrfs", "-q", "-L", label),
		byTool("f2fs", "f2fs", true, "mkfs.f2fs", "-q", "-l", label),
		byTool("fat", "vfat", true, "mkfs.vfat", "-n", label),
		byTool("fat32", "vfat", true, "mkfs.vfat", "-F", "32", "-n", label),
		byTool("exfat", "exfat", false, "mkfs.exfat", "-L", label),
		byTool("ntfs", "ntfs", true, "mkfs.ntfs", "-q", "-F", "-f", "-L", label),
		byTool("jfs", "jfs", true, "mkfs.jfs", "-q", "-L", label),
		byTool("nilfs2", "nilfs2", true, "mkfs.nilfs2", "-q", "-L", label),
		byTool("reiserfs", "reiserfs", true, "mkfs.reiserfs", "-q", "-ff", "-l", label),
		byTool("udf", "udf", false, "mkfs.udf", "-l", label),
		byTool("swap", "swap", true, "mkswap", "-q", "-L", label),
		byTool("swap64k", "swap", true, "mkswap", "-q", "-p", "65536", "-L", label),
		byTool("bcache", "bcache", false, "make-bcache", "-B"),
		{"iso9660", "iso9660", true, []string{"genisoimage"}, makeISO},
		{"squashfs", "squashfs", false, []string{"mksquashfs"}, makeSquash},
		{"luks1", "crypto_LUKS", false, []string{"cryptsetup"}, makeLUKS("luks1")},
		{"luks2", "crypto_LUKS", true, []string{"cryptsetup"}, makeLUKS("luks2", "--label", label)},
		{"luks2-second", "crypto_LUKS", false, []string{"cryptsetup"}, makeSecondLUKS},
		{"lvm", "LVM2_member", true, []string{"pvcreate", "losetup"}, makeVolumeGroup},
		{"md-0.90", "linux_raid_member", false, []string{"mdadm"}, makeOldArray},
		{"md-1.0", "linux_raid_member", true, []string{"mdadm"}, makeArray(0)},
		{"md-1.1", "linux_raid_member", true, []string{"mdadm"}, makeArray(1)},
		{"md-1.2", "linux_raid_member", true, []string{"mdadm"}, makeArray(2)},
		{"zfs", "zfs_member", true, nil, makeZFS},
		{"bluestore", "ceph_bluestore", false, nil, makeBluestore},
	}
	return specimens
}

// Run runs a tool and fails the test when the tool fails.
func Run(t *testing.T, tool string, arguments ...string) string {
	t.Helper()
	command := exec.Command(tool, arguments...)
	// lvm complains of files it inherits.
	command.Env = append(os.Environ(), "LVM_SUPPRESS_FD_WARNINGS=1", "LC_ALL=C", "MKE2FS_DEVICE_SECTSIZE=512")
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("run %s %s: %v\n%s", tool, strings.Join(arguments, " "), err, said)
	}
	return string(said)
}

// Probe returns what blkid finds in a range of an image, and nothing when it finds
// nothing. blkid ends with 2 then, and with 8 when it finds two things at once.
func Probe(t *testing.T, image string, offset, length int64) string {
	t.Helper()
	command := exec.Command("blkid", "-p", "-O", fmt.Sprint(offset), "-S", fmt.Sprint(length), image)
	said, err := command.CombinedOutput()
	if err != nil && command.ProcessState.ExitCode() == 2 {
		return ""
	}
	if err != nil && command.ProcessState.ExitCode() != 8 {
		t.Fatalf("run blkid: %v\n%s", err, said)
	}
	return strings.TrimSpace(string(said)) + "."
}

// Write writes data into an image.
func Write(t *testing.T, image string, offset int64, data []byte) {
	t.Helper()
	file, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
}

// GPT makes an image with a GUID partition table of one partition, labelled, which
// holds the content of another image, and returns where that is.
func GPT(t *testing.T, path, content string) (offset, length int64) {
	t.Helper()
	return table(t, path, content, "label: gpt\nstart=2048,size=%d,name="+Label+"\n")
}

// MBR makes an image with an MBR of one logical partition in an extended one.
func MBR(t *testing.T, path, content string) (offset, length int64) {
	t.Helper()
	return table(t, path, content, "label: dos\nstart=1024,type=5\nstart=2048,size=%d,type=83\n")
}

func table(t *testing.T, path, content, script string) (offset, length int64) {
	t.Helper()
	if _, err := exec.LookPath("sfdisk"); err != nil {
		t.Skip("sfdisk is not installed; package specimen lists the Debian packages")
	}
	const start, sector = 2048, 512
	Blank(t, path, Size+64<<20)
	command := exec.Command("sfdisk", "--quiet", path)
	command.Stdin = strings.NewReader(fmt.Sprintf(script, Size/sector))
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("run sfdisk: %v\n%s", err, said)
	}
	copyData(t, content, path, start*sector)
	return start * sector, Size
}

// copyData copies what is no hole.
func copyData(t *testing.T, from, to string, shift int64) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for end := int64(0); ; {
		start, err := source.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return
		}
		if err == nil {
			end, err = source.Seek(start, unix.SEEK_HOLE)
		}
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, end-start)
		if _, err := source.ReadAt(data, start); err != nil {
			t.Fatal(err)
		}
		Write(t, to, start+shift, data)
	}
}
