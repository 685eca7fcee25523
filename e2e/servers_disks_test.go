//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/specimen"
)

// Disks of servers are random bytes all over, in them a GPT at both ends and a partition with an ext4.
const (
	serverDiskSize = 64 * mebibyte
	partitionStart = 16 * mebibyte
	partitionSize  = 32 * mebibyte
)

// dataDisk is a disk with somebody's data, of which the test knows every byte.
type dataDisk struct {
	lab.Disk

	path string
	// label of the ext4.
	label string
	// keep tells that the Server's policy keeps it.
	keep bool
	sum  [sha256.Size]byte
}

// fill writes the disk's data, whatever was there before.
func (d *dataDisk) fill(t *testing.T) {
	t.Helper()

	if err := os.MkdirAll(filepath.Dir(d.path), 0o755); err != nil {
		t.Fatal(err)
	}

	noise := make([]byte, serverDiskSize)
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", d.Serial)))).Read(noise)

	// In place, because QEMU may have it open.
	file, err := os.OpenFile(d.path, os.O_CREATE|os.O_WRONLY, 0o644)
	file = must(t, file, err)
	_, err = file.WriteAt(noise, 0)
	must(t, 0, err)
	must(t, 0, file.Close())

	table := exec.CommandContext(t.Context(), "sfdisk", "--quiet", "--wipe", "never", "--wipe-partitions", "never", d.path)
	table.Stdin = strings.NewReader(fmt.Sprintf("label: gpt\nstart=%d,size=%d\n", partitionStart/512, partitionSize/512))
	if said, err := table.CombinedOutput(); err != nil {
		t.Fatalf("run sfdisk: %v\n%s", err, said)
	}

	specimen.Run(t, "mkfs.ext4", "-q", "-F", "-L", d.label, "-E",
		fmt.Sprintf("nodiscard,offset=%d", partitionStart), d.path, fmt.Sprintf("%dk", partitionSize>>10))

	if specimen.Probe(t, d.path, 0, serverDiskSize) == "" || specimen.Probe(t, d.path, partitionStart, partitionSize) == "" {
		t.Fatalf("blkid finds nothing on %s", d.path)
	}

	d.sum = d.digest(t)
}

func (d *dataDisk) digest(t *testing.T) [sha256.Size]byte {
	t.Helper()

	content, err := os.ReadFile(d.path)

	return sha256.Sum256(must(t, content, err))
}

// intact tells whether every byte is as it was.
func (d *dataDisk) intact(t *testing.T) bool {
	t.Helper()

	return d.digest(t) == d.sum
}

// checkWiped sees that nothing finds anything on the disk any more: its ends and its partition's are zeros.
func (d *dataDisk) checkWiped(t *testing.T) {
	t.Helper()

	content, err := os.ReadFile(d.path)
	content = must(t, content, err)
	zeros := make([]byte, mebibyte)

	for _, at := range []int{0, serverDiskSize - mebibyte, partitionStart, partitionStart + partitionSize - mebibyte} {
		if !bytes.Equal(content[at:at+mebibyte], zeros) {
			t.Errorf("%s has data left at %d", d.Serial, at)
		}
	}

	for _, part := range [][2]int64{{0, serverDiskSize}, {partitionStart, partitionSize}} {
		if found := specimen.Probe(t, d.path, part[0], part[1]); found != "" {
			t.Errorf("blkid finds %q on %s at %d", found, d.Serial, part[0])
		}
	}
}
