//go:build e2e

package lab_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// small is a machine that finds nothing to boot within a second.
func small(name string) lab.Machine {
	return lab.Machine{Name: name, Memory: 128, Boot: lab.FromDisk, Disks: []lab.Disk{{Size: 1 << 20}}}
}

func TestMachineKeepsItsDisksAndVariables(t *testing.T) {
	ctx, l := newLab(t)
	machine := small("keeper")
	machine.Firmware = lab.UEFI
	vm := powerOn(ctx, t, l, machine)
	folder := filepath.Dir(vm.Console.Path())
	powerOff(t, vm)
	for _, name := range []string{"0.disk", "firmware-variables.fd"} {
		writeAt(t, filepath.Join(folder, name), "kept", 4096)
	}
	powerOff(t, powerOn(ctx, t, l, machine))
	for _, name := range []string{"0.disk", "firmware-variables.fd"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !strings.Contains(string(content), "kept") {
			t.Errorf("%s is new after power was cut: %v", name, err)
		}
	}
}

func writeAt(t *testing.T, path, text string, offset int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte(text), offset); err != nil {
		t.Fatal(err)
	}
}

func TestMachineThatDoesNotStart(t *testing.T) {
	ctx, l := newLab(t)
	broken := small("broken")
	broken.Extra = []string{"-device", "flux-capacitor"}
	if _, err := l.PowerOn(ctx, broken); err == nil || !strings.Contains(err.Error(), "flux-capacitor") {
		t.Errorf("got %v, want what QEMU says", err)
	}
	vm := powerOn(ctx, t, l, small("broken")) // the name is free again
	if _, err := l.PowerOn(ctx, small("broken")); err == nil || !strings.Contains(err.Error(), "on already") {
		t.Errorf("a second machine of that name: %v", err)
	}
	powerOff(t, vm)
}

func TestMachineThatEndsByItself(t *testing.T) {
	ctx, l := newLab(t)
	machine := small("rebooting")
	machine.ExitOnReboot = true
	vm := powerOn(ctx, t, l, machine)
	if err := vm.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-vm.Exited():
	case <-ctx.Done():
		t.Fatal("it did not end")
	}
	if _, err := vm.WaitConsole(ctx, "never said"); !errors.Is(err, io.EOF) {
		t.Errorf("console of a machine that is off: %v", err)
	}
	if _, err := vm.Events.Wait(ctx, `"SHUTDOWN"`); err != nil {
		t.Error(err)
	}
	powerOff(t, vm) // no error: it is off
}

func TestQEMUAnswersQuestions(t *testing.T) {
	ctx, l := newLab(t)
	vm := powerOn(ctx, t, l, small("asked"))
	var blocks []struct {
		Stats struct {
			Reads int64 `json:"rd_operations"`
		}
	}
	if _, err := vm.WaitConsole(ctx, "No bootable device"); err != nil {
		t.Fatal(err)
	}
	if err := vm.QMP(ctx, "query-blockstats", nil, &blocks); err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 1 || blocks[0].Stats.Reads == 0 {
		t.Errorf("block statistics %+v, want one disk that was read", blocks)
	}
}

func TestCloseEndsAPowerOnUnderWay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 5 { // each time it is caught at another place
		l, err := lab.New(ctx, lab.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan error)
		for _, name := range []string{"one", "two", "three"} {
			go func() {
				_, err := l.PowerOn(ctx, small(name))
				results <- err
			}()
		}
		first := <-results // the others are somewhere
		if first != nil {
			t.Error(first)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-results
		<-results
		if _, err := l.PowerOn(ctx, small("late")); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("power on in a closed lab: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
}
