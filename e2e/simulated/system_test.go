package simulated_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
	"github.com/sidero-appliance/sidero-appliance/e2e/simulated/image"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

const (
	environment = "#!ipxe\nkernel ${appliance}/env/default/vmlinuz talos.platform=metal || goto failed\nboot\n"

	fromEnvironment = "/env/default/vmlinuz"
	fromAgent       = "/env/agent-amd64/vmlinuz"
	fromDisk        = ""
)

// system installs itself when it is started from the network, and runs from the disk until it is told how to end.
type system struct {
	disk string
	ends chan error // nil to start again
}

var (
	errOff   = errors.New("switched off")
	errPanic = errors.New("panic")
)

func (s *system) run(ctx context.Context, _ *simulated.Machine, arguments string) (bool, error) {
	if arguments != "" {
		return true, image.Write(s.disk, []byte(arguments))
	}

	select {
	case err := <-s.ends:
		if errors.Is(err, errOff) {
			return false, nil
		}

		return true, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func kernels(m *simulated.Machine) (kernels []string) {
	for _, boot := range m.Boots() {
		kernels = append(kernels, boot.Kernel)
	}

	return kernels
}

// TestSystem takes a machine through the life of an operating system that is the test's: it is installed, starts again by itself and
// when it panics, is switched off, and is gone when the disk is wiped.
func TestSystem(t *testing.T) {
	a := &appliance{script: environment}
	s := &system{disk: filepath.Join(t.TempDir(), "disk"), ends: make(chan error)}

	m, err := simulated.New(simulated.Config{Number: 9, Place: here{}, Appliance: a.serve(t), Disk: s.disk, System: s.run, NoBMC: true})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })

	var want []string

	runs := func(what string, booted ...string) {
		t.Helper()

		want = append(want, booted...)
		eventually(t, what, func() bool { return m.Running() && slices.Equal(kernels(m), want) })
	}

	m.Press(true)
	runs("it installs a system and starts that", fromEnvironment, fromDisk)

	if content, err := image.Read(s.disk); err != nil || string(content) != "talos.platform=metal" || len(m.Installs()) != 1 {
		t.Errorf("the disk keeps %q, %v, of installations at %v", content, err, m.Installs())
	}

	s.ends <- nil
	runs("it starts again", fromDisk)

	s.ends <- errPanic
	runs("it starts again after a panic", fromDisk)

	s.ends <- errOff
	eventually(t, "it is switched off", func() bool { return !m.Powered() && !m.Running() })

	a.boots("#!ipxe\nexit\n")
	m.FromNetwork()
	m.Press(true)
	runs("the appliance leaves it to its disk", fromDisk)

	m.Press(false)
	a.boots("")
	a.tell(api.Order_WIPE)
	m.FromNetwork()
	m.Press(true)
	eventually(t, "the wipe is known", func() bool { return len(m.Wipes()) == 1 && !m.Wipes()[0].Recorded.IsZero() })

	want = append(want, fromAgent)
	if m.Running() || image.Boots(s.disk) || !slices.Equal(kernels(m), want) {
		t.Errorf("it has booted %q, want %q", kernels(m), want)
	}

	a.boots(environment)
	a.tell(api.Order_REBOOT)
	runs("it is used again", fromEnvironment, fromDisk)

	m.Press(false)
	m.Press(true)
	runs("it goes on after a power cut", fromDisk)

	if len(m.Installs()) != 2 || len(m.Wipes()) != 1 {
		t.Errorf("it was installed at %v and wiped %v", m.Installs(), m.Wipes())
	}
}
