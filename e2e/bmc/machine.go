package bmc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// switchesWithin is how long QEMU may take to start or to end.
const switchesWithin = 30 * time.Second

// Machine is a virtual machine with a power button. Its methods may be called from many goroutines.
type Machine struct {
	lab *lab.Lab
	is  lab.Machine

	mu sync.Mutex
	vm *lab.VM
	// written is what earlier runs of QEMU counted.
	written []int
	starts  int
	failed  error

	presses chan func() error
	ended   chan struct{}
}

// NewMachine describes a machine that is off. It has to be closed.
func NewMachine(l *lab.Lab, is lab.Machine) *Machine {
	m := &Machine{
		lab: l, is: is.WithDefaults(), written: make([]int, len(is.Disks)),
		presses: make(chan func() error, 1024), ended: make(chan struct{}),
	}
	go m.serve()

	return m
}

// serve does what BMCs order, one thing after the other: they answer before it is done, as real ones do.
func (m *Machine) serve() {
	defer close(m.ended)

	for press := range m.presses {
		err := press()

		m.mu.Lock()
		m.failed = errors.Join(m.failed, err)
		m.mu.Unlock()
	}
}

// press is a BMC at the button.
func (m *Machine) press(on bool, from lab.Boot) {
	m.presses <- func() error {
		if on {
			return m.TurnOn(from)
		}

		return m.TurnOff()
	}
}

// Close takes the machine's power, and returns what went wrong when a BMC had the button: it has nobody to tell. The BMC is
// closed before.
func (m *Machine) Close() error {
	close(m.presses)
	<-m.ended

	return errors.Join(m.failed, m.TurnOff())
}

// Description is the machine with all its defaults.
func (m *Machine) Description() lab.Machine { return m.is }

// On tells whether QEMU runs.
func (m *Machine) On() bool {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.running()
}

func (m *Machine) running() bool {
	if m.vm == nil {
		return false
	}

	select {
	case <-m.vm.Exited():
		return false
	default:
		return true
	}
}

// VM is the machine as it was powered on last, nil before the first time.
func (m *Machine) VM() *lab.VM {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.vm
}

// Starts is how often the machine was given power.
func (m *Machine) Starts() int {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.starts
}

// TurnOn gives the machine power. from is where its firmware looks for something to start.
func (m *Machine) TurnOn(from lab.Boot) error {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.running() {
		return nil
	}

	ctx, cancel := context.WithTimeout(context.Background(), switchesWithin)
	defer cancel()

	is := m.is
	is.Boot = from

	vm, err := m.lab.PowerOn(ctx, is)
	if err != nil {
		return fmt.Errorf("give %s power: %w", is.Name, err)
	}

	m.vm = vm
	m.starts++

	return nil
}

// TurnOff takes the machine's power.
func (m *Machine) TurnOff() error {
	m.mu.Lock()
	defer m.mu.Unlock()

	if !m.running() {
		return nil
	}

	ctx, cancel := context.WithTimeout(context.Background(), switchesWithin)
	defer cancel()

	written, err := m.vm.Writes(ctx)
	for n, count := range written {
		m.written[n] += count
	}

	return errors.Join(err, m.vm.PowerOff())
}

// Writes are how many writes and discards each disk has had since the machine was made, by its number.
func (m *Machine) Writes(ctx context.Context) ([]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	counts := slices.Clone(m.written)

	if m.running() {
		written, err := m.vm.Writes(ctx)
		if err != nil {
			return nil, fmt.Errorf("count writes: %w", err)
		}

		for n, count := range written {
			counts[n] += count
		}
	}

	return counts, nil
}
