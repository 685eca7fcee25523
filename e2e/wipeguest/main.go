//go:build e2e

// Command wipeguest is /init of a virtual machine that the wipe is tried in. It makes
// what people have on their disks (a RAID array, LVM on it, encryption on that), lets
// packages disk and wipe loose on it, and tells on the console what came of it, one
// line of JSON for each step. The kernel's argument wipe= is the method.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "wipeguest is the /init of a virtual machine")
		os.Exit(2)
	}
	if err := run(); err != nil {
		say("error", err.Error())
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// say writes what the test waits for.
func say(what string, value any) {
	text, err := json.Marshal(value)
	fmt.Printf("GUEST %s %s %v\n", what, text, err)
}

func run() error {
	for _, mount := range []struct{ kind, target string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(mount.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(mount.kind, mount.target, mount.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", mount.target, err)
		}
	}
	if err := os.Setenv("PATH", "/bin"); err != nil {
		return err
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	arguments := map[string]string{}
	for word := range strings.FieldsSeq(string(cmdline)) {
		key, value, _ := strings.Cut(word, "=")
		arguments[key] = value
	}
	if err := loadModules(); err != nil {
		return err
	}
	count, err := strconv.Atoi(arguments["disks"])
	if err != nil {
		return err
	}
	if err := awaitDisks(count); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	return clearDisks(wipe.Method(arguments["wipe"]))
}

// loadModules loads them in the order in which they are listed.
func loadModules() error {
	list, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		file, err := os.Open(filepath.Join("/modules", name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(file.Fd()), "", 0)
		file.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

// awaitDisks returns when the kernel has found as many disks.
func awaitDisks(count int) error {
	const patience = 30 * time.Second
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		disks, err := disk.List(os.DirFS("/sys"), nil)
		if err != nil {
			return err
		}
		if len(disks) == count {
			return nil
		}
	}
	return fmt.Errorf("the kernel does not find %d disks", count)
}

// bySerial returns the device nodes of disks.
func bySerial(serials ...string) ([]string, error) {
	disks, err := disk.List(os.DirFS("/sys"), nil)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, serial := range serials {
		for _, d := range disks {
			if d.Serial == serial {
				paths = append(paths, d.Path)
			}
		}
	}
	if len(paths) != len(serials) {
		return nil, fmt.Errorf("of the disks %v only %v are there", serials, paths)
	}
	return paths, nil
}

// fill makes an array of two disks, LVM over the array and a partition of a third
// disk, and LUKS on a volume; LVM on a fourth disk alone; two partitions on the third.
func fill() error {
	paths, err := bySerial("VIRT1", "SCSI1", "NVME1", "SATA1")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/tmp/key", []byte("secret"), 0o600); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"sfdisk", "--quiet", "--wipe=never", paths[3]},
		{"mdadm", "--create", "/dev/md0", "--run", "--level=1", "--raid-devices=2", "--assume-clean", "--metadata=1.2", paths[0], paths[1]},
		{"lvm", "pvcreate", "--quiet", "--yes", "--force", "/dev/md0", paths[3] + "2", paths[2]},
		{"lvm", "vgcreate", "--quiet", "group", "/dev/md0", paths[3] + "2"},
		{"lvm", "vgcreate", "--quiet", "alone", paths[2]},
		{"lvm", "lvcreate", "--quiet", "--yes", "--zero=n", "--wipesignatures=n", "--extents=90%VG", "--name=volume", "alone"},
		{"lvm", "lvcreate", "--quiet", "--yes", "--zero=n", "--wipesignatures=n", "--extents=90%VG", "--name=volume", "group"},
		{"cryptsetup", "luksFormat", "--batch-mode", "--key-file=/tmp/key", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "/dev/mapper/group-volume"},
		{"cryptsetup", "open", "--key-file=/tmp/key", "/dev/mapper/group-volume", "secret"},
	} {
		run := exec.Command(command[0], command[1:]...)
		run.Stdin = strings.NewReader("label: gpt\nsize=32M,name=first\nsize=32M,name=second\n")
		// Nobody runs udev here.
		run.Env = append(os.Environ(), "DM_DISABLE_UDEV=1", "LVM_SUPPRESS_FD_WARNINGS=1")
		if said, err := run.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", command, err, said)
		}
	}
	return nil
}

// clearDisks plans, wipes, and looks at what is left.
func clearDisks(method wipe.Method) error {
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	host := wipe.ThisMachine(logger)
	disks, err := host.Disks()
	if err != nil {
		return err
	}
	say("udev", askUdev(disks))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	inspector := disk.NewInspector()
	disks = inspector.Inspect(ctx, disks)
	say("disks", disks)
	plan, err := wipe.PlanFor(disks, wipe.Policy{Method: method})
	if err != nil {
		return err
	}
	say("plan", plan)
	outcomes, err := host.Run(ctx, plan, func(wipe.Progress) {})
	say("seconds", time.Since(began).Seconds())
	say("outcomes", outcomes)
	if err != nil {
		return err
	}
	if disks, err = host.Disks(); err != nil {
		return err
	}
	say("left", inspector.Inspect(ctx, disks))
	volumes, err := disk.Volumes(os.DirFS("/sys"))
	say("volumes", volumes)
	return err
}

// askUdev returns the names below /dev/disk that udev's programs would give the disks, by
// serial number.
func askUdev(disks []disk.Disk) map[string][]string {
	names := map[string][]string{}
	for _, d := range disks {
		for prefix, command := range map[string][]string{
			"pci-":  {"udevadm", "test-builtin", "path_id", "/sys/block/" + d.Name},
			"usb-":  {"udevadm", "test-builtin", "usb_id", "/sys/block/" + d.Name},
			"ata-":  {"ata_id", "--export", d.Path},
			"scsi-": {"scsi_id", "--export", "--whitelisted", "--device=" + d.Path},
		} {
			// udev's rules ask for this of disks that the others have no name for.
			if prefix == "scsi-" && (d.Transport == disk.SATA || d.Transport == disk.USB) {
				continue
			}
			// Each fails for disks that are not its kind.
			out, _ := exec.Command(command[0], command[1:]...).Output()
			for line := range strings.Lines(string(out)) {
				switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
				case "ID_PATH", "ID_PATH_ATA_COMPAT":
					names[d.Serial] = append(names[d.Serial], value)
				case "ID_SERIAL":
					names[d.Serial] = append(names[d.Serial], prefix+value)
				}
			}
		}
	}
	return names
}
