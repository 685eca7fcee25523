//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/specimen"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

const wipeDiskSize = 192 * mebibyte

// wipeDisk is a disk of the machine that wipes, as QEMU's arguments.
type wipeDisk struct {
	serial string
	device string
	drive  string
	want   wipe.Action
}

// wipeDisks are one of each kind. The first four are in a RAID array, LVM and GPT.
func wipeDisks() []wipeDisk {
	return []wipeDisk{
		{"VIRT1", "virtio-blk-pci,discard=off,write-zeroes=off,serial=VIRT1,drive=", "", wipe.Wipe},
		{"SCSI1", "scsi-hd,bus=scsi0.0,serial=SCSI1,drive=", ",discard=unmap", wipe.Wipe},
		{"NVME1", "nvme,serial=NVME1,drive=", ",discard=unmap", wipe.Wipe},
		{"SATA1", "ide-hd,bus=ide.0,serial=SATA1,drive=", ",discard=unmap", wipe.Wipe},
		{"VIRT2", "virtio-blk-pci,serial=VIRT2,drive=", ",discard=unmap", wipe.Wipe},
		{"STICK", "usb-storage,bus=usb0.0,removable=on,serial=STICK,drive=", "", wipe.Skip},
		{"RDONLY", "virtio-blk-pci,serial=RDONLY,drive=", ",readonly=on", wipe.Skip},
	}
}

// TestWipe wipes, in a virtual machine, disks that the kernel has built an array, volumes and encryption on.
func TestWipe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)

	dir := t.TempDir()
	kernel := wipeKernel(ctx, t, dir)
	precious := filepath.Join(dir, "precious")
	specimen.Blank(t, precious, wipeDiskSize)
	specimen.Run(t, "mkfs.ext4", "-q", "-F", "-L", specimen.Label, precious)

	for _, method := range []wipe.Method{wipe.Fast, wipe.Discard, wipe.Secure, wipe.Zero} {
		t.Run(string(method), func(t *testing.T) {
			disks := filepath.Join(dir, string(method))
			must(t, 0, os.Mkdir(disks, 0o755))
			said := runWipe(ctx, t, kernel, disks, precious, method)
			checkWipe(t, said, method)

			original, err := os.ReadFile(precious)
			original = must(t, original, err)

			for _, d := range wipeDisks() {
				image := filepath.Join(disks, d.serial)
				content, err := os.ReadFile(image)
				content = must(t, content, err)

				if d.want == wipe.Skip && !bytes.Equal(content, original) {
					t.Errorf("%s was to be left alone and has changed", d.serial)
				}

				if found := specimen.Probe(t, image, 0, wipeDiskSize); (found != "") != (d.want == wipe.Skip) {
					t.Errorf("blkid finds %q on %s", found, d.serial)
				}

				if method == wipe.Zero && d.want == wipe.Wipe && !bytes.Equal(content, make([]byte, len(content))) {
					t.Errorf("%s is not all zeros", d.serial)
				}
			}
		})
	}
}

// guestSaid is what the virtual machine told.
type guestSaid struct {
	disks, left []disk.Disk
	plan        wipe.Plan
	outcomes    []wipe.Progress
	volumes     []disk.Volume
	seconds     float64
	udev        map[string][]string
	failed      string
}

// checkWipe holds the guest's own account against what was to happen.
func checkWipe(t *testing.T, said guestSaid, method wipe.Method) {
	t.Helper()

	if said.failed != "" {
		t.Error(said.failed)
	}

	if said.seconds > 10 && method == wipe.Fast {
		t.Errorf("five disks took %.1f s", said.seconds)
	}

	t.Logf("five disks wiped in %.2f s", said.seconds)

	want := map[string]wipe.Action{}
	for _, d := range wipeDisks() {
		want[d.serial] = d.want
	}

	for _, step := range said.plan.Disks {
		if step.Action != want[step.Disk.Serial] {
			t.Errorf("the plan for %s is %s: %s", step.Disk.Serial, step.Action, step.Reason)
		}

		t.Logf("%s: %s %s: %s", step.Disk, step.Action, step.Method, step.Reason)
	}

	for _, outcome := range said.outcomes {
		if outcome.State != wipe.Done || len(outcome.Notes) > 0 {
			t.Errorf("%s: %+v", outcome.Disk, outcome)
		}
	}

	if len(said.outcomes) != 5 || len(said.left) != len(want) || len(said.volumes) != 0 {
		t.Errorf("%d outcomes, %d disks, volumes %v", len(said.outcomes), len(said.left), said.volumes)
	}

	for _, d := range said.left {
		if want[d.Serial] == wipe.Wipe && (len(d.Contents)+len(d.Partitions)+len(d.Holders) > 0 || d.Unreadable != "") {
			t.Errorf("left on %s is %+v", d, d)
		}
	}

	for _, d := range said.disks {
		names := slices.Concat(d.ByID, d.ByPath)
		if len(said.udev[d.Serial]) == 0 {
			t.Errorf("udev has no name for %s", d)
		}

		for _, name := range said.udev[d.Serial] {
			if !slices.Contains(names, name) {
				t.Errorf("udev calls %s %q, its names here are %q", d, name, names)
			}
		}
	}

	held := slices.ContainsFunc(said.disks, func(d disk.Disk) bool { return slices.Contains(d.Holders, "md0") })
	if !held {
		t.Error("the array was not there before")
	}
}

// runWipe runs the virtual machine on fresh disks until it powers itself off.
func runWipe(ctx context.Context, t *testing.T, kernel wipeImages, dir, precious string, method wipe.Method) guestSaid {
	t.Helper()

	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2",
		"-serial", "stdio", "-no-reboot", "-device", "virtio-scsi-pci,id=scsi0", "-device", "qemu-xhci,id=usb0",
		"-kernel", kernel.vmlinuz, "-initrd", kernel.initramfs,
		"-append", fmt.Sprintf("console=ttyS0 panic=-1 quiet disks=%d wipe=%s", len(wipeDisks()), method),
	}
	for _, d := range wipeDisks() {
		image := filepath.Join(dir, d.serial)
		specimen.Run(t, "cp", "--sparse=always", precious, image)
		args = append(args, "-drive", fmt.Sprintf("if=none,id=%s,format=raw,file=%s%s", d.serial, image, d.drive), "-device", d.device+d.serial)
	}

	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("run the virtual machine: %v\n%s", err, out)
	}

	var said guestSaid

	into := map[string]any{
		"disks": &said.disks, "left": &said.left, "plan": &said.plan, "outcomes": &said.outcomes,
		"volumes": &said.volumes, "seconds": &said.seconds, "udev": &said.udev, "error": &said.failed,
	}

	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, mebibyte)

	for lines.Scan() {
		_, rest, found := strings.Cut(lines.Text(), "GUEST ")
		what, value, _ := strings.Cut(rest, " ")

		if found {
			if err := json.NewDecoder(strings.NewReader(value)).Decode(into[what]); err != nil {
				t.Errorf("read %q: %v", lines.Text(), err)
			}
		}
	}

	if said.outcomes == nil {
		t.Fatalf("the virtual machine did not come to an end:\n%s", out)
	}

	return said
}

// wipeImages are what the virtual machine starts from.
type wipeImages struct{ vmlinuz, initramfs string }

// wipeKernel takes Debian's kernel and makes an initramfs with the guest, its tools and the kernel's modules.
func wipeKernel(ctx context.Context, t *testing.T, dir string) wipeImages {
	t.Helper()

	manifest, err := os.ReadFile(filepath.Join(agentImage, "manifest.json"))
	manifest = must(t, manifest, err)

	var built struct{ KernelRelease string }

	must(t, 0, json.Unmarshal(manifest, &built))
	release := built.KernelRelease

	archive, err := debian.New(debian.Config{
		CacheDir: debian.DefaultCacheDir(), Suites: []string{"bookworm", "bookworm-security"}, Components: []string{"main"},
		Architecture: "amd64", MaxAge: 24 * time.Hour,
	})
	archive = must(t, archive, err)
	pkg, err := archive.Fetch(ctx, "linux-image-"+release)
	pkg = must(t, pkg, err)

	root := filepath.Join(dir, "root")
	for _, folder := range []string{"bin", "modules"} {
		must(t, 0, os.MkdirAll(filepath.Join(root, folder), 0o755))
	}

	specimen.Run(t, "go", "build", "-tags", "e2e", "-o", filepath.Join(root, "init"), "./wipeguest")
	copyModules(t, filepath.Join(pkg.Dir, "lib/modules", release), filepath.Join(root, "modules"))

	for _, tool := range []string{"mdadm", "lvm", "cryptsetup", "sfdisk", "udevadm", "/lib/udev/ata_id", "/lib/udev/scsi_id"} {
		copyTool(t, tool, root)
	}

	image := filepath.Join(dir, "initramfs")
	specimen.Run(t, "sh", "-c", fmt.Sprintf("cd %s && find . | cpio --quiet -o -H newc > %s", root, image))

	return wipeImages{vmlinuz: filepath.Join(agentImage, "vmlinuz"), initramfs: image}
}

// copyModules copies what the guest needs, and what that needs, and lists it in order.
func copyModules(t *testing.T, from, to string) {
	t.Helper()

	paths := map[string]string{}
	must(t, 0, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}

		return err
	}))

	var order []string

	var take func(name string)

	take = func(name string) {
		path := paths[strings.ReplaceAll(name, "-", "_")]
		if path == "" || slices.Contains(order, filepath.Base(path)) { // built in, or there
			return
		}

		needs := specimen.Run(t, "modinfo", "-F", "depends", path)
		for _, need := range strings.FieldsFunc(needs, func(r rune) bool { return r == ',' || r == '\n' }) {
			take(need)
		}

		order = append(order, filepath.Base(path))
		specimen.Run(t, "cp", path, to)
	}

	for _, name := range []string{
		"virtio_pci", "virtio_blk", "virtio_scsi", "crct10dif_common", "crct10dif_generic", "crc64_rocksoft_generic", "sd_mod", "ahci", "nvme", "xhci_pci", "usb_storage",
		"raid1", "dm_mod", "sha256_generic", "aes_generic", "ecb", "xts", "algif_skcipher", "dm_crypt",
	} {
		take(name)
	}

	must(t, 0, os.WriteFile(filepath.Join(to, "order"), []byte(strings.Join(order, "\n")), 0o644))
}

// copyTool copies a program with the libraries it is linked with.
func copyTool(t *testing.T, tool, root string) {
	t.Helper()

	path, err := exec.LookPath(tool)
	path = must(t, path, err)
	specimen.Run(t, "cp", path, filepath.Join(root, "bin", filepath.Base(tool)))

	for word := range strings.FieldsSeq(specimen.Run(t, "ldd", path)) {
		if !strings.HasPrefix(word, "/") {
			continue
		}

		must(t, 0, os.MkdirAll(filepath.Join(root, filepath.Dir(word)), 0o755))
		specimen.Run(t, "cp", "-L", word, filepath.Join(root, word))
	}
}
