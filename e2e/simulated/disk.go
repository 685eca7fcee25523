package simulated

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated/image"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

const (
	// DiskSize is the size of a machine's disk: a fast wipe clears 8 MiB at its start and 2 at its end.
	DiskSize = 12 << 20
	sector   = 512
	// rescue is how long a disk that lost power may keep its wipe from ending.
	rescue = 10 * time.Second
)

// Wipe is one work on a machine's disk.
type Wipe struct {
	// Began is when it was told to wipe, Ended when it stopped, for whatever reason.
	Began, Ended time.Time
	// Writes is how often it has written to the disk.
	Writes int
	// Complete tells that it went through, and Recorded when the appliance confirmed that it knows; zero when it did not.
	Complete bool
	Recorded time.Time
}

// storage is a machine's disk.
type storage struct {
	path string
	slow time.Duration

	mu       sync.Mutex
	wipes    []*Wipe
	installs []time.Time
}

// format makes a disk, with data that somebody may want to keep unless it is to be blank.
func format(path string, blank bool) error {
	if blank {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}

		return os.Truncate(path, DiskSize)
	}

	return os.WriteFile(path, precious(), 0o600)
}

func precious() []byte {
	data := make([]byte, DiskSize)
	seed := [32]byte{}
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails

	return data
}

// Wipes are all works on the machine's disk so far, the first one first.
func (m *Machine) Wipes() []Wipe {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()

	var copies []Wipe
	for _, w := range m.disk.wipes {
		copies = append(copies, *w)
	}

	return copies
}

// Installs is when operating systems were installed.
func (m *Machine) Installs() []time.Time {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()

	return slices.Clone(m.disk.installs)
}

// Digest is that of all bytes of the disk.
func (m *Machine) Digest() (string, error) {
	content, err := os.ReadFile(m.disk.path)
	if err != nil {
		return "", fmt.Errorf("read disk: %w", err)
	}

	return fmt.Sprintf("%x", sha256.Sum256(content)), nil
}

// Blank tells whether nothing is left at the start and at the end of the disk.
func (m *Machine) Blank() (bool, error) {
	content, err := os.ReadFile(m.disk.path)
	if err != nil {
		return false, fmt.Errorf("read disk: %w", err)
	}

	for _, region := range wipe.Regions(DiskSize, nil) {
		part := content[region.Offset : region.Offset+region.Length]
		if len(bytes.Trim(part, "\x00")) > 0 {
			return false, nil
		}
	}

	return true, nil
}

// boots tells whether there is an operating system on the disk.
func (s *storage) boots() bool { return s != nil && image.Boots(s.path) }

// installed notes that there is an operating system now.
func (s *storage) installed() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.installs = append(s.installs, time.Now())
}

// install puts an operating system on the disk, and data.
func (s *storage) install(ctx context.Context) {
	s.installed()

	d, err := s.open(ctx, &Wipe{})
	if err != nil {
		return
	}
	defer d.Close()

	data := precious()
	copy(data, image.Header(nil))
	_, _ = d.file.WriteAt(data, 0) // a disk that fails is found by who looks at it
}

func (s *storage) list() []disk.Disk {
	return []disk.Disk{{
		Name: "vda", Path: s.path, Number: "252:0", Size: DiskSize, Transport: disk.Virtio, Serial: "D1", LogicalBlock: sector,
	}}
}

// wipe is agent.Machine's Wipe.
func (s *storage) wipe(ctx context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error) {
	work := &Wipe{Began: time.Now()}

	s.mu.Lock()
	s.wipes = append(s.wipes, work)
	s.mu.Unlock()

	host := wipe.Host{
		Disks:   func() ([]disk.Disk, error) { return s.list(), nil },
		Release: func([]string) error { return nil },
		Open:    func(disk.Disk) (wipe.Device, error) { return s.open(ctx, work) },
		Grace:   rescue,
		Logger:  slog.New(slog.DiscardHandler),
	}
	outcome, err := host.Run(ctx, plan, progress)

	s.mu.Lock()
	defer s.mu.Unlock()

	work.Ended, work.Complete = time.Now(), err == nil

	return outcome, err
}

// recorded notes that the appliance knows of the last wipe's end.
func (s *storage) recorded(when time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.wipes[len(s.wipes)-1].Recorded = when
}

func (s *storage) open(ctx context.Context, work *Wipe) (*device, error) {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)

	return &device{file, s, work, ctx}, err
}

// device is a disk that is written to. It fails when the machine loses power.
type device struct {
	file *os.File
	*storage
	work *Wipe
	ctx  context.Context //nolint:containedctx // the machine's power, which wipe.Device knows nothing of
}

// ReadAt implements io.ReaderAt.
func (d *device) ReadAt(data []byte, offset int64) (int, error) { return d.file.ReadAt(data, offset) }

// WriteAt implements io.WriterAt.
func (d *device) WriteAt(data []byte, offset int64) (int, error) {
	if err := pause.For(d.ctx, d.slow); err != nil {
		return 0, unix.EIO
	}

	d.mu.Lock()
	d.work.Writes++
	d.mu.Unlock()

	return d.file.WriteAt(data, offset)
}

// Size implements wipe.Device.
func (d *device) Size() (int64, error) { return DiskSize, nil }

// Discard implements wipe.Device.
func (d *device) Discard(wipe.Region) error { return errors.ErrUnsupported }

// Zero implements wipe.Device.
func (d *device) Zero(wipe.Region) error { return errors.ErrUnsupported }

// Flush implements wipe.Device.
func (d *device) Flush() error { return nil }

// Rescan implements wipe.Device.
func (d *device) Rescan() error { return nil }

// Close implements io.Closer.
func (d *device) Close() error { return d.file.Close() }

// Erase implements wipe.Device.
func (d *device) Erase(context.Context, disk.EraseMethod, func(done, total uint64)) error {
	return errors.ErrUnsupported
}
