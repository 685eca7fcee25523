//go:build e2e

// These tests boot machines: go test -tags e2e ./e2e/talosnode/pid1, after "make talosnode".

package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	// image is where "make talosnode" puts it.
	image    = "../../../bin/talosnode"
	gigabyte = 1 << 30
	mebibyte = 1 << 20
	// limit is some four times what one firmware takes on an idle machine.
	limit = 10 * time.Minute
)

// TestMachineStartsFromTheDiskItInstalledTo has firmware find and start, without any network, what a node wrote to its disk; and find
// nothing any more after the quick wipe of the agent.
func TestMachineStartsFromTheDiskItInstalledTo(t *testing.T) {
	for firmware, nothing := range map[lab.Firmware]string{
		lab.BIOS: "No bootable device",
		lab.UEFI: "UEFI Interactive Shell|No bootable option or device",
	} {
		t.Run(string(firmware), func(t *testing.T) {
			dir := t.TempDir()
			ctx, l := newLab(t, dir)
			asked := serveConfiguration(ctx, t, l)
			m := lab.Machine{Name: "node", Firmware: firmware, Boot: lab.FromDisk, Memory: 2048, Disks: []lab.Disk{{Size: 4 * gigabyte}}}

			install(ctx, t, l, m)

			want := m.WithDefaults().UUID.String()
			if uuids := asked.take(); len(uuids) == 0 || uuids[0] != want {
				t.Errorf("the configuration was asked for by %q, want %q", uuids, want)
			}

			startWithoutNetwork(ctx, t, l, m)

			if uuids := asked.take(); len(uuids) > 0 {
				t.Errorf("the installed node asked for a configuration, as %q", uuids)
			}

			zeroEnds(t, filepath.Join(dir, m.Name, "0.disk"))
			console(ctx, t, powerOn(ctx, t, l, m), nothing)
		})
	}
}

// install starts the machine as an Environment would have it, until it restarts by itself.
func install(ctx context.Context, t *testing.T, l *lab.Lab, m lab.Machine) {
	t.Helper()

	m.ExitOnReboot = true
	m.Kernel = &lab.Kernel{
		Path: filepath.Join(image, "vmlinuz"), Initramfs: filepath.Join(image, "initramfs"),
		CommandLine: "console=ttyS0 panic=10 " + constants.KernelParamPlatform + "=metal " +
			constants.KernelParamConfig + "=http://" + lab.ApplianceAddress + "/configdata?uuid=${uuid}",
	}
	vm := powerOn(ctx, t, l, m)
	console(ctx, t, vm, "leaving the machine.*outcome=reboot")

	select {
	case <-vm.Exited():
	case <-ctx.Done():
		t.Fatal("the machine did not restart")
	}
}

// startWithoutNetwork starts the machine from its disk, with the cable pulled.
func startWithoutNetwork(ctx context.Context, t *testing.T, l *lab.Lab, m lab.Machine) {
	t.Helper()

	vm := powerOn(ctx, t, l, m)

	if err := vm.QMP(ctx, "set_link", map[string]any{"name": "lan", "up": false}, nil); err != nil {
		t.Fatal(err)
	}

	console(ctx, t, vm, "Starting the node from the disk")
	console(ctx, t, vm, "installed=true")
	console(ctx, t, vm, "has no address")

	if err := vm.PowerOff(); err != nil {
		t.Fatal(err)
	}
}

// zeroEnds does to a disk what the agent's quick wipe does at least.
func zeroEnds(t *testing.T, path string) {
	t.Helper()

	disk, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()

	for _, offset := range []int64{0, 4*gigabyte - mebibyte} {
		if _, err := disk.WriteAt(make([]byte, mebibyte), offset); err != nil {
			t.Fatal(err)
		}
	}
}

func newLab(t *testing.T, dir string) (context.Context, *lab.Lab) {
	t.Helper()

	if _, err := os.Stat(filepath.Join(image, "manifest.json")); err != nil {
		t.Fatalf("%v: run \"make talosnode\"", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)

	l, err := lab.New(ctx, lab.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})

	return ctx, l
}

func powerOn(ctx context.Context, t *testing.T, l *lab.Lab, m lab.Machine) *lab.VM {
	t.Helper()

	vm, err := l.PowerOn(ctx, m)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(vm.Console.Path())
			t.Logf("console of %s:\n%s", m.Name, text)
		}
	})

	return vm
}

func console(ctx context.Context, t *testing.T, vm *lab.VM, pattern string) {
	t.Helper()

	line, err := vm.WaitConsole(ctx, pattern)
	if err != nil {
		t.Fatal(err)
	}

	t.Logf("after %s: %s", line.At.Round(time.Millisecond), line.Text)
}

// requests are the UUIDs that a configuration was asked for with.
type requests struct {
	mu    sync.Mutex
	uuids []string
}

func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()

	uuids := r.uuids
	r.uuids = nil

	return uuids
}

// serveConfiguration serves the configuration of a worker.
func serveConfiguration(ctx context.Context, t *testing.T, l *lab.Lab) *requests {
	t.Helper()

	input, err := generate.NewInput("lab", "https://"+lab.ApplianceAddress+":6443", constants.DefaultKubernetesVersion, generate.WithInstallDisk("/dev/vda"))
	if err != nil {
		t.Fatal(err)
	}

	config, err := input.Config(machine.TypeWorker)
	if err != nil {
		t.Fatal(err)
	}

	text, err := config.EncodeString()
	if err != nil {
		t.Fatal(err)
	}

	listener, err := l.Listen(ctx, "tcp", lab.ApplianceAddress+":80")
	if err != nil {
		t.Fatal(err)
	}

	asked := &requests{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.mu.Lock()
		defer asked.mu.Unlock()

		asked.uuids = append(asked.uuids, strings.ToLower(r.URL.Query().Get("uuid")))
		fmt.Fprint(w, text)
	})}

	go server.Serve(listener)

	t.Cleanup(func() { server.Close() })

	return asked
}
