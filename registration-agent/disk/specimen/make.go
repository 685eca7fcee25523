package specimen

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// directory makes one with a file in it.
func directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func makeISO(t *testing.T, image string) {
	t.Helper()
	small := image + ".iso"
	Run(t, "genisoimage", "-quiet", "-V", Label, "-o", small, directory(t))
	copyOver(t, small, image)
}

func makeSquash(t *testing.T, image string) {
	t.Helper()
	small := image + ".squashfs"
	Run(t, "mksquashfs", directory(t), small, "-quiet", "-no-progress")
	copyOver(t, small, image)
}

func copyOver(t *testing.T, from, image string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, image, 0, content)
}

func makeLUKS(version string, more ...string) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		key := image + ".key"
		if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		Run(t, "cryptsetup", append([]string{"luksFormat", "--batch-mode", "--type", version, "--key-file", key,
			"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", image}, more...)...)
	}
}

// makeSecondLUKS leaves only the second header of LUKS2, as far away as there is one:
// 4 MiB.
func makeSecondLUKS(t *testing.T, image string) {
	t.Helper()
	makeLUKS("luks2", "--luks2-metadata-size", "4m", "--luks2-keyslots-size", "8m")(t, image)
	Write(t, image, 0, make([]byte, 4096))
}

// makeVolumeGroup needs a loop device: LVM takes nothing else.
func makeVolumeGroup(t *testing.T, image string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loop devices need root")
	}
	loop := strings.TrimSpace(Run(t, "losetup", "--find", "--show", image))
	defer Run(t, "losetup", "--detach", loop)
	only := fmt.Sprintf(`devices { use_devicesfile=0 filter=["a|%s|","r|.*|"] }`, loop)
	Run(t, "pvcreate", "--config", only, "--quiet", loop)
	Run(t, "vgcreate", "--config", only, "--quiet", Label, loop)
}

// makeArray writes a version 1 superblock (struct mdp_superblock_1 of linux uapi
// raid/md_p.h): a RAID1 of two disks, at the place of the minor version.
func makeArray(minor int) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		const sector, dataOffset = 512, 2048
		offsets := []uint64{(Size/sector - 16) &^ 7, 0, 8}
		block := make([]byte, 256+2*2)
		put32 := func(at int, value uint32) { binary.LittleEndian.PutUint32(block[at:], value) }
		put64 := func(at int, value uint64) { binary.LittleEndian.PutUint64(block[at:], value) }
		put32(0, 0xA92B4EFC) // magic
		put32(4, 1)          // major version
		copy(block[16:], "0123456789abcdef")
		copy(block[32:], Label)
		put64(64, 1<<40)                      // creation time
		put32(72, 1)                          // level
		put64(80, Size/sector-2*dataOffset)   // size
		put32(92, 2)                          // raid disks
		put64(128, dataOffset)                // data offset
		put64(136, Size/sector-2*dataOffset)  // data size
		put64(144, offsets[minor])            // superblock offset
		put32(160, 0)                         // device number
		copy(block[168:], "fedcba9876543210") // device uuid
		put64(192, 1<<40)                     // update time
		put64(200, 1)                         // events
		put32(220, 2)                         // max_dev
		if minor == 0 {
			put64(128, 0)
		}
		binary.LittleEndian.PutUint16(block[258:], 1) // roles 0 and 1
		put32(216, arrayChecksum(block))
		Write(t, image, int64(offsets[minor])*sector, block)
		wantArray(t, image, fmt.Sprintf("Version : 1.%s", map[int]string{0: "0", 1: "1", 2: "2"}[minor]))
	}
}

// arrayChecksum is calc_sb_1_csum of the kernel's md.c.
func arrayChecksum(block []byte) uint32 {
	var sum uint64
	rest := block
	for ; len(rest) >= 4; rest = rest[4:] {
		sum += uint64(binary.LittleEndian.Uint32(rest))
	}
	if len(rest) == 2 {
		sum += uint64(binary.LittleEndian.Uint16(rest))
	}
	return uint32(sum) + uint32(sum>>32)
}

// makeOldArray writes a version 0.90 superblock (struct mdp_superblock_s).
func makeOldArray(t *testing.T, image string) {
	t.Helper()
	const reserved = 64 << 10
	block := make([]byte, 4096)
	put := func(word int, value uint32) { binary.LittleEndian.PutUint32(block[4*word:], value) }
	put(0, 0xA92B4EFC) // magic
	put(1, 0)          // version 0.90.0
	put(2, 90)
	put(5, 0x01234567)            // first part of the UUID
	put(6, 1<<30)                 // creation time
	put(7, 1)                     // level
	put(8, (Size-2*reserved)>>10) // size in KiB
	put(9, 2)                     // disks
	put(10, 2)                    // raid disks
	put(32, 1<<30)                // update time
	put(33, 1)                    // state: clean
	put(34, 2)                    // active disks
	put(35, 2)                    // working disks
	put(39, 1)                    // events
	// From word 128 on 27 descriptors of disks, 32 words each; then one of this disk.
	for n := range 2 {
		put(128+32*n, uint32(n))
		put(128+32*n+3, uint32(n))
		put(128+32*n+4, 6) // active, in sync
	}
	put(128+27*32+4, 6)
	var sum uint64
	for at := 0; at < len(block); at += 4 {
		sum += uint64(binary.LittleEndian.Uint32(block[at:]))
	}
	put(38, uint32(sum)+uint32(sum>>32))
	Write(t, image, Size&^(reserved-1)-reserved, block)
	wantArray(t, image, "Version : 0.90")
}

// wantArray asks mdadm, whose format it is, whether it takes what was made here.
func wantArray(t *testing.T, image, want string) {
	t.Helper()
	if said := Run(t, "mdadm", "--examine", image); !strings.Contains(said, want) || !strings.Contains(said, "correct") {
		t.Fatalf("mdadm does not take the superblock:\n%s", said)
	}
}

// makeZFS writes the four labels of a pool's member (OpenZFS include/sys/vdev_impl.h):
// the list of names and values, and uberblocks.
func makeZFS(t *testing.T, image string) {
	t.Helper()
	const label, list, ring, uberblock = 256 << 10, 16 << 10, 128 << 10, 1024
	content := make([]byte, label)
	text := func(s string) []byte {
		data := binary.BigEndian.AppendUint32(nil, uint32(len(s)))
		data = append(data, s...)
		return append(data, make([]byte, -len(s)&3)...)
	}
	pair := append(text("name"), 0, 0, 0, 9, 0, 0, 0, 1)
	pair = append(pair, text(Label)...)
	head := []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1} // XDR, little-endian machine; version; flags
	size := binary.BigEndian.AppendUint32(nil, uint32(len(pair)+8))
	copy(content[list:], append(append(append(head, size...), 0, 0, 0, 48), pair...))
	for n := range 8 {
		at := ring + n*uberblock
		binary.LittleEndian.PutUint64(content[at:], 0x00BAB10C)
		binary.LittleEndian.PutUint64(content[at+8:], 5000)
	}
	for _, offset := range []int64{0, label, Size - 2*label, Size - label} {
		Write(t, image, offset, content)
	}
}

// makeBluestore writes the label of ceph's bluestore (BlueStore.cc, _write_bdev_label),
// at the start; the copies that its later versions keep are further on than Size.
func makeBluestore(t *testing.T, image string) {
	t.Helper()
	Write(t, image, 0, []byte("bluestore block device\n01234567-89ab-cdef-0123-456789abcdef\n"))
}
