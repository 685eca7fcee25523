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
	// Quiet is how long a bus that finds its devices by and by must have shown nothing new
	// for Settle to believe that it has shown all.
	Quiet  time.Duration
	Logger *slog.Logger
}

// glance is how often such a bus is looked at.
const glance = 200 * time.Millisecond

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
// AHCI, then the SCSI disks behind it). Most need no waiting: the kernel ends the
// insertion of a module only when the probes that it started are over, the
// asynchronous ones of ahci, nvme and sd included. What sits on USB and its like comes
// later, and is waited for until there is nothing new for a while.
//
// Modules that fail to load, or that take longer than the patience, are logged and left
// alone: a disk controller that does not start must not keep the machine from
// registering. What appears behind a late one is found by a later call.
func (l *Loader) Settle(ctx context.Context) error {
	began, patience := time.Now(), time.After(l.Patience)
	seen, news := map[string]bool{}, began
	for worked := false; ; {
		// In this order: a load that ends after this brings us back to look again.
		loading, ended := l.loading()
		before := len(seen)
		wanted, err := l.wanted(seen)
		if err != nil {
			return err
		}
		if len(seen) > before {
			news = time.Now()
		}
		// All at once, because most of a driver's start is waiting for its device; and a
		// new look after each, so that the slowest holds back only what is behind it.
		for _, name := range wanted {
			l.start(name)
		}
		worked = worked || loading > 0 || len(wanted) > 0
		gradual := l.gradual()
		if loading == 0 && len(wanted) == 0 && (!gradual || time.Since(news) >= l.Quiet) {
			if worked { // else nothing is new, as on most later calls
				l.Logger.Info("drivers loaded", "duration", time.Since(began).Round(time.Millisecond))
			}
			return nil
		}
		var again <-chan time.Time
		if gradual {
			again = time.After(glance)
		}
		select {
		case <-ended:
			news = time.Now()
		case <-again:
		case <-patience:
			l.abandon()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gradual says whether there is a bus that finds its devices by and by, after its
// driver is loaded: the kernel's threads for USB hubs, for cards in MMC slots, and for
// what Hyper-V offers.
func (l *Loader) gradual() bool {
	for _, bus := range []string{"usb", "mmc", "vmbus"} {
		_, err := fs.Stat(l.Sys, path.Join("bus", bus))
		if err == nil && len(l.Index.aliases[bus]) > 0 {
			return true
		}
	}
	return false
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
	if len(names) == 0 { // devices keep appearing
		return
	}
	slices.Sort(names)
	l.Logger.Warn("drivers still load, going on without their devices", "module", strings.Join(names, " "), "duration", l.Patience)
}

// wanted names the modules that devices not yet in seen ask for and that nobody has
// asked for before. It adds the devices to seen.
func (l *Loader) wanted(seen map[string]bool) ([]string, error) {
	var names []string
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
			device := path.Join(dir, device.Name())
			if seen[device] {
				continue
			}
			seen[device] = true
			for _, name := range l.Index.Match(l.modalias(device)) {
				if !l.asked(name) {
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// modalias reads a device's identifier, "" if it went away or is a mere container. A
// machine has hundreds of devices, and reading them takes a third of a second under
// emulation: so only those on the buses of the index are asked, each once a call.
func (l *Loader) modalias(device string) string {
	if text, err := fs.ReadFile(l.Sys, path.Join(device, "modalias")); err == nil {
		return strings.TrimSpace(string(text))
	}
	// A card in an MMC slot says it here only.
	text, err := fs.ReadFile(l.Sys, path.Join(device, "uevent"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if modalias, found := strings.CutPrefix(line, "MODALIAS="); found {
			return strings.TrimSpace(modalias)
		}
	}
	return ""
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

// start has a module loaded in the background, if nobody has yet.
func (l *Loader) start(name string) {
	if current, first := l.claim(name); first {
		go l.run(name, current)
	}
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
	if err := l.Insert(module.File); err != nil {
		return err
	}
	for _, next := range module.Then {
		l.start(next)
	}
	return nil
}
