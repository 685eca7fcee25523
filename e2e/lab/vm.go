package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// VM is a machine that has been powered on.
type VM struct {
	Machine // with all defaults filled in

	// Console is the serial port's output since power-on.
	Console *Transcript
	// Events are QEMU's events as JSON lines: RESET, SHUTDOWN, DEVICE_TRAY_MOVED, …
	Events *Transcript

	lab     *Lab
	process *Process
	qmp     *qmp
	capture *Capture
	off     chan struct{} // closed when everything of the machine is gone
}

// PowerOn starts the machine and returns once its processor runs. ctx bounds
// only that.
func (l *Lab) PowerOn(ctx context.Context, m Machine) (*VM, error) {
	m = m.WithDefaults()
	vm, err := l.powerOn(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("power on %s: %w", m.Name, err)
	}
	l.logger.Info("machine is on", "server", m.Name, "mac", m.MAC.String(), "path", vm.Console.Path())
	return vm, nil
}

func (l *Lab) powerOn(ctx context.Context, m Machine) (*VM, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	vm := &VM{Machine: m, lab: l, off: make(chan struct{})}
	if err := l.claim(vm); err != nil {
		return nil, err
	}
	if err := vm.start(ctx); err != nil {
		if vm.process != nil {
			vm.process.Kill()
		}
		vm.tidyUp()
		return nil, err
	}
	go vm.tidyUp()
	return vm, nil
}

// claim takes the machine's name in the lab.
func (l *Lab) claim(vm *VM) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("the lab is closed")
	}
	if l.vms[vm.Name] != nil {
		return errors.New("it is on already")
	}
	l.vms[vm.Name] = vm
	return nil
}

func (l *Lab) release(vm *VM) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.vms, vm.Name)
}

// start brings up the cable, the capture and QEMU, in this order: nothing of the
// boot shall be missed.
func (vm *VM) start(ctx context.Context) error {
	folder, err := vm.lab.folder(vm.Name)
	if err != nil {
		return err
	}
	if err := prepareFiles(vm.Machine, folder); err != nil {
		return err
	}
	if vm.Events, err = NewTranscript(filepath.Join(folder, "events.log")); err != nil {
		return err
	}
	cable, err := vm.lab.plugIn(ctx)
	if err != nil {
		return err
	}
	defer cable.file.Close()
	if vm.Capture {
		path := filepath.Join(folder, "nic.pcap")
		if vm.capture, err = vm.lab.capture(cable.name, path); err != nil {
			return err
		}
	}
	return vm.startQEMU(ctx, folder, cable)
}

func (vm *VM) startQEMU(ctx context.Context, folder string, cable *tap) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	if vm.Console, err = NewTranscript(filepath.Join(folder, "console.log")); err != nil {
		return errors.Join(err, ours.Close())
	}
	complaints, err := NewTranscript(filepath.Join(folder, "qemu.log"))
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	cmd := vm.lab.Command(context.Background(), "qemu-system-x86_64", qemuArguments(vm.Machine, folder)...)
	cmd.Stdout, cmd.Stderr = vm.Console, complaints
	cmd.ExtraFiles = []*os.File{theirs, cable.file} // qmpFD, tapFD
	if vm.process, err = vm.lab.startLogged(cmd, vm.Console, complaints); err != nil {
		return errors.Join(err, ours.Close())
	}
	_ = theirs.Close() // so that QEMU's end is seen as the end of the connection
	if vm.qmp, err = connectQMP(ctx, ours, vm.Events); err != nil {
		return fmt.Errorf("%w; it says:\n%s", err, complaints.tail())
	}
	return nil
}

// tidyUp waits for QEMU's end and ends what belongs to the machine.
func (vm *VM) tidyUp() {
	defer close(vm.off)
	defer vm.lab.release(vm)
	if vm.process != nil {
		<-vm.process.Done()
	}
	if vm.qmp != nil {
		_ = vm.qmp.conn.Close()
	}
	if vm.capture != nil {
		_ = vm.capture.Stop()
	}
	if vm.Events != nil {
		_ = vm.Events.Close()
	}
}

// PowerOff cuts the power: the guest is not asked. What the guest has had
// written to its disks is in their files when it returns.
func (vm *VM) PowerOff() error {
	err := vm.process.Stop() // SIGTERM makes QEMU flush and exit
	<-vm.off
	vm.lab.logger.Info("machine is off", "server", vm.Name)
	return err
}

// Reset presses the reset button. Waiting on the console starts anew.
func (vm *VM) Reset(ctx context.Context) error {
	vm.Console.Forget()
	return vm.QMP(ctx, "system_reset", nil, nil)
}

// QMP gives QEMU a command of its machine protocol (query-blockstats,
// blockdev-change-medium, …). arguments and result may be nil.
func (vm *VM) QMP(ctx context.Context, command string, arguments, result any) error {
	return vm.qmp.execute(ctx, command, arguments, result)
}

// Writes are how many writes and discards QEMU has counted for each disk since power-on.
func (vm *VM) Writes(ctx context.Context) ([]int, error) {
	var drives []struct {
		Device string
		Stats  struct {
			Writes   int `json:"wr_operations"`
			Discards int `json:"unmap_operations"`
		}
	}
	if err := vm.QMP(ctx, "query-blockstats", nil, &drives); err != nil {
		return nil, err
	}
	counts := make([]int, len(vm.Disks))
	seen := 0
	for _, drive := range drives {
		var n int
		// The others are the firmware's.
		if _, err := fmt.Sscanf(drive.Device, "disk%d", &n); err == nil && n < len(counts) {
			counts[n] = drive.Stats.Writes + drive.Stats.Discards
			seen++
		}
	}
	if seen != len(counts) {
		return nil, fmt.Errorf("count writes of %s: qemu tells of %d disks, it has %d", vm.Name, seen, len(counts))
	}
	return counts, nil
}

// WaitConsole waits for a line on the serial console that matches the regular
// expression and returns it with its time since power-on. The line may still be
// growing: let the pattern ask for all that is wanted of it. SeaBIOS breaks lines
// at 80 columns.
func (vm *VM) WaitConsole(ctx context.Context, pattern string) (Line, error) {
	return vm.Console.Wait(ctx, pattern)
}

// Elapsed is the time since power-on.
func (vm *VM) Elapsed() time.Duration { return vm.Console.Elapsed() }

// Exited is closed when the machine is off, whoever did it.
func (vm *VM) Exited() <-chan struct{} { return vm.off }

// Pid is QEMU's.
func (vm *VM) Pid() int { return vm.process.Pid }

// CapturePath is the recording of the machine's NIC, complete once the machine
// is off; empty when none was asked for.
func (vm *VM) CapturePath() string {
	if vm.capture == nil {
		return ""
	}
	return vm.capture.Path
}

// prepareFiles makes the machine's disks and firmware variables unless it has
// them from earlier.
func prepareFiles(m Machine, folder string) error {
	for i, disk := range m.Disks {
		file, err := os.OpenFile(diskFile(folder, i), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(file.Truncate(disk.Size), file.Close()); err != nil {
			return err
		}
	}
	if m.Firmware == BIOS {
		return nil
	}
	return copyOnce(ovmfVars, varsFile(folder))
}

// copyOnce copies a file unless the target exists.
func copyOnce(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// socketPair is a connection between us and a child that needs no file name.
func socketPair() (net.Conn, *os.File, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "qmp"), os.NewFile(uintptr(ends[1]), "qmp of qemu")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs, nil
}
