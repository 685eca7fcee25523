package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
)

// Config says where the modules and the devices are.
type Config struct {
	Index Index
	// Sys is the root of sysfs.
	Sys fs.FS
	// Insert hands a module's file to the kernel and returns when the devices present
	// have been probed. A module already loaded is no error.
	Insert func(file string) error
	// Patience is how long Settle waits for drivers: some hang for good.
	Patience time.Duration
	Logger   *slog.Logger
}

// Loader loads each module at most once.
type Loader struct {
	Config

	mu    sync.Mutex
	loads map[string]*load
	// ended is closed and replaced whenever a load ends.
	ended chan struct{}
}

// load is the loading of one module; err may be read once done is closed.
type load struct {
	done chan struct{}
	err  error
	// over says that it has ended, late that nobody waits for it any more; both under
	// the loader's lock.
	over, late bool
}

// NewLoader touches nothing yet.
func NewLoader(config Config) *Loader {
	return &Loader{Config: config, loads: map[string]*load{}, ended: make(chan struct{})}
}

// InsertFrom returns an Insert that takes the files from a directory.
func InsertFrom(dir string) func(string) error {
	return func(file string) error {
		module, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			return fmt.Errorf("load module: %w", err)
		}
		defer module.Close()
		if err := unix.FinitModule(int(module.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", file, err)
		}
		return nil
	}
}

// Settle loads what the devices ask for until no device asks for anything new and
// nothing loads any more, from an earlier call that was cut short included. It repeats
// because a bus shows up when the driver of the one before it is loaded (PCI, then
// AHCI, then the SCSI disks behind it). It needs no waiting: the kernel ends the
// insertion of a module only when the probes that it started are over, the
// asynchronous ones of ahci, nvme and sd included.
//
// Modules that fail to load, or that take longer than the patience, are logged and left
// alone: a disk controller that does not start must not keep the machine from
// registering. What appears behind a late one is found by a later call.
func (l *Loader) Settle(ctx context.Context) error {
	began, patience := time.Now(), time.After(l.Patience)
	seen := map[string]bool{}
	for worked := false; ; worked = true {
		// In this order: a load that ends after this brings us back to look again.
		loading, ended := l.loading()
		wanted, err := l.wanted(seen)
		if err != nil {
			return err
		}
		// All at once, because most of a driver's start is waiting for its device; and a
		// new look after each, so that the slowest holds back only what is behind it.
		for _, name := range wanted {
			if current, first := l.claim(name); first {
				go l.run(name, current)
			}
		}
		if loading == 0 && len(wanted) == 0 {
			if worked { // else nothing is new, as on most later calls
				l.Logger.Info("drivers loaded", "duration", time.Since(began).Round(time.Millisecond))
			}
			return nil
		}
		select {
		case <-ended:
		case <-patience:
			l.abandon()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// loading counts the modules in flight, without the late ones; the channel is closed
// when the next load ends.
func (l *Loader) loading() (count int, ended <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, current := range l.loads {
		if !current.over && !current.late {
			count++
		}
	}
	return count, l.ended
}

// abandon stops waiting for what is in flight.
func (l *Loader) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name, current := range l.loads {
		if !current.over && !current.late {
			current.late = true
			names = append(names, name)
		}
	}
	slices.Sort(names)
	l.Logger.Warn("drivers still load, going on without their devices", "module", strings.Join(names, " "), "duration", l.Patience)
}

// wanted names the modules that devices not yet in seen ask for and that nobody has
// asked for before.
func (l *Loader) wanted(seen map[string]bool) ([]string, error) {
	modaliases, err := l.modaliases()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, modalias := range modaliases {
		if seen[modalias] {
			continue
		}
		seen[modalias] = true
		for _, name := range l.Index.Match(modalias) {
			if !l.asked(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// modaliases reads the identifiers of the devices on the buses that the index knows; a
// machine has hundreds of devices on others, and reading them takes a third of a
// second under emulation. (A modalias starts with the name of its bus.)
func (l *Loader) modaliases() ([]string, error) {
	var list []string
	for bus := range l.Index.aliases {
		dir := path.Join("bus", bus, "devices")
		devices, err := fs.ReadDir(l.Sys, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no driver of that bus is loaded, or will be
		}
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		for _, device := range devices {
			text, err := fs.ReadFile(l.Sys, path.Join(dir, device.Name(), "modalias"))
			if err == nil { // else the device went away, or is a mere container
				list = append(list, strings.TrimSpace(string(text)))
			}
		}
	}
	return list, nil
}

func (l *Loader) asked(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loads[name] != nil
}

// Load loads a module of the index after the ones it needs, and waits for it when
// somebody else is loading it.
func (l *Loader) Load(name string) error {
	current, first := l.claim(name)
	if first {
		l.run(name, current)
	}
	<-current.done
	return current.err
}

// claim finds a module's load, or makes it: then the caller is the first, and has to
// run it.
func (l *Loader) claim(name string) (current *load, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if current := l.loads[name]; current != nil {
		return current, false
	}
	current = &load{done: make(chan struct{})}
	l.loads[name] = current
	return current, true
}

// run loads a module and tells everybody that it is over.
func (l *Loader) run(name string, current *load) {
	current.err = guard.Run(l.Logger, func() error { return l.insert(name) })
	if current.err != nil {
		l.Logger.Warn("a driver did not load", "module", name, "error", current.err.Error())
	}
	close(current.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	current.over = true
	close(l.ended)
	l.ended = make(chan struct{})
	if current.late {
		l.Logger.Info("a late driver is done", "module", name)
	}
}

func (l *Loader) insert(name string) error {
	module, found := l.Index.modules[name]
	if !found {
		return fmt.Errorf("load module %s: it is not in this image", name)
	}
	for _, need := range module.Needs {
		if err := l.Load(need); err != nil {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	return l.Insert(module.File)
}
