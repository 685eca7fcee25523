package wipe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

const page = 4096

// sparse is a disk in memory of any size, of which only what is not zero is kept.
type sparse struct {
	size int64
	// can lists what the disk does by itself: discard, zero, erase.
	can map[string]bool
	// failing has the error for the first access at or behind an offset.
	failing error
	from    int64
	// stuck blocks writes until it is closed.
	stuck chan struct{}
	// lazy is a disk that says yes and writes nothing.
	lazy bool

	mutex  sync.Mutex
	pages  map[int64][]byte
	orders []string
	closed bool
}

func newSparse(size int64, can ...string) *sparse {
	s := &sparse{size: size, pages: map[int64][]byte{}, can: map[string]bool{}, from: math.MaxInt64}
	for _, ability := range can {
		s.can[ability] = true
	}
	return s
}

// put writes without a trace.
func (s *sparse) put(offset int64, data []byte) {
	for n, b := range data {
		at := offset + int64(n)
		content := s.pages[at/page]
		if content == nil {
			if b == 0 {
				continue
			}
			content = make([]byte, page)
			s.pages[at/page] = content
		}
		content[at%page] = b
	}
}

func (s *sparse) ReadAt(data []byte, offset int64) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if offset < 0 || offset >= s.size {
		return 0, io.EOF
	}
	if offset >= s.from {
		return 0, s.failing
	}
	n := min(int64(len(data)), s.size-offset)
	clear(data[:n])
	for at := offset / page * page; at < offset+n && at >= 0; at += page {
		if content := s.pages[at/page]; content != nil {
			from := max(at, offset)
			copy(data[from-offset:n], content[from-at:])
		}
	}
	if n < int64(len(data)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (s *sparse) WriteAt(data []byte, offset int64) (int, error) {
	if s.stuck != nil {
		<-s.stuck
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case offset < 0 || offset > s.size-int64(len(data)):
		return 0, fmt.Errorf("write outside of the disk: %d bytes at %d of %d", len(data), offset, s.size)
	case offset >= s.from:
		return 0, s.failing
	case !s.lazy:
		s.put(offset, data)
	}
	return len(data), nil
}

func (s *sparse) order(name string, r wipe.Region) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.can[name] {
		return errors.ErrUnsupported
	}
	if r.Offset < 0 || r.Length <= 0 || r.Offset > s.size-r.Length {
		return unix.EINVAL
	}
	if r.Offset >= s.from {
		return s.failing
	}
	if len(s.orders) == 0 || s.orders[len(s.orders)-1] != name {
		s.orders = append(s.orders, name)
	}
	for at := range s.pages {
		if at*page >= r.Offset && at*page < r.Offset+r.Length {
			delete(s.pages, at)
		}
	}
	return nil
}

func (s *sparse) Discard(r wipe.Region) error { return s.order("discard", r) }
func (s *sparse) Zero(r wipe.Region) error    { return s.order("zero", r) }

func (s *sparse) Erase(_ context.Context, method disk.EraseMethod, progress func(done, total uint64)) error {
	progress(1, 2)
	return s.order("erase", wipe.Region{Length: s.size})
}

func (s *sparse) Size() (int64, error) { return s.size, nil }
func (s *sparse) Flush() error         { return nil }
func (s *sparse) Rescan() error        { return nil }

func (s *sparse) Close() error {
	s.closed = true
	return nil
}

// machine is a host of sparse disks.
type machine struct {
	disks    []disk.Disk
	devices  map[string]*sparse
	released []string
	// stop is what Release does.
	stop func(*machine) error
}

func (m *machine) add(name, serial string, device *sparse) *machine {
	if m.devices == nil {
		m.devices = map[string]*sparse{}
	}
	m.devices[name] = device
	m.disks = append(m.disks, disk.Disk{
		Name: name, Path: "/dev/" + name, Serial: serial, Size: uint64(device.size), BusPath: "/" + name, Discard: device.can["discard"],
		Erase: map[bool][]disk.Erase{true: {{Method: disk.NVMeFormat}}}[device.can["erase"]],
	})
	return m
}

func (m *machine) host() wipe.Host {
	return wipe.Host{
		Disks: func() ([]disk.Disk, error) { return m.disks, nil },
		Release: func(names []string) error {
			m.released = names
			if m.stop != nil {
				return m.stop(m)
			}
			return nil
		},
		Open: func(d disk.Disk) (wipe.Device, error) {
			device := m.devices[d.Name]
			if device == nil {
				return nil, &os.PathError{Op: "open", Path: d.Path, Err: unix.EBUSY}
			}
			return device, nil
		},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func planFor(t *testing.T, disks []disk.Disk, policy wipe.Policy) wipe.Plan {
	t.Helper()
	plan, err := wipe.PlanFor(disks, policy)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// pattern is on a disk at both ends and in the middle.
func (s *sparse) pattern() *sparse {
	data := bytes.Repeat([]byte{0xA5}, page)
	s.put(0, data)
	s.put(s.size/2/page*page, data)
	s.put(s.size-page, data)
	return s
}

// left returns where the disk is not zero.
func (s *sparse) left() string {
	var places []string
	for at, content := range s.pages {
		if !bytes.Equal(content, make([]byte, page)) {
			places = append(places, fmt.Sprint(at*page))
		}
	}
	return strings.Join(places, " ")
}

func TestMethods(t *testing.T) {
	const size = 700 * mib
	middle := fmt.Sprint(size / 2)
	for name, test := range map[string]struct {
		policy wipe.Policy
		can    []string
		// unable takes an ability away between plan and work.
		unable string
		method wipe.Method
		orders string
		left   string
		note   string
	}{
		"fast":                  {wipe.Policy{}, []string{"zero", "discard", "erase"}, "", wipe.Fast, "", middle, ""},
		"discard":               {wipe.Policy{Method: wipe.Discard}, []string{"discard"}, "", wipe.Discard, "discard", "", ""},
		"discard that is not":   {wipe.Policy{Method: wipe.Discard}, []string{"discard"}, "discard", wipe.Fast, "", middle, "fast in place of discard: unsupported operation"},
		"discard or else zero":  {wipe.Policy{Method: wipe.Discard, Fallback: wipe.Zero}, []string{"discard", "zero"}, "discard", wipe.Zero, "zero", "", "zero in place of discard: unsupported operation"},
		"zero":                  {wipe.Policy{Method: wipe.Zero}, []string{"zero"}, "", wipe.Zero, "zero", "", ""},
		"zero by writing":       {wipe.Policy{Method: wipe.Zero}, nil, "", wipe.Zero, "", "", ""},
		"secure":                {wipe.Policy{Method: wipe.Secure}, []string{"erase"}, "", wipe.Secure, "erase", "", ""},
		"secure that fails":     {wipe.Policy{Method: wipe.Secure}, []string{"erase", "zero"}, "erase", wipe.Zero, "zero", "", "zero in place of secure: unsupported operation"},
		"secure or else fast":   {wipe.Policy{Method: wipe.Secure, Fallback: wipe.Fast}, []string{"erase"}, "erase", wipe.Fast, "", middle, "fast in place of secure: unsupported operation"},
		"secure that never was": {wipe.Policy{Method: wipe.Secure}, []string{"zero"}, "", wipe.Zero, "zero", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			device := newSparse(size, test.can...).pattern()
			m := (&machine{}).add("sda", "S1", device)
			plan := planFor(t, m.disks, test.policy)
			delete(device.can, test.unable)
			outcomes, err := m.host().Run(t.Context(), plan, func(wipe.Progress) {})
			if err != nil {
				t.Fatal(err)
			}
			if outcomes[0].Method != test.method || strings.Join(outcomes[0].Notes, "; ") != test.note {
				t.Errorf("the outcome is %+v", outcomes[0])
			}
			if got := strings.Join(device.orders, " "); got != test.orders {
				t.Errorf("the disk was ordered %q, want %q", got, test.orders)
			}
			if got := device.left(); got != test.left {
				t.Errorf("left is something at %q, want %q", got, test.left)
			}
			if !device.closed {
				t.Error("the disk is still open")
			}
		})
	}
}

// TestProgress follows one disk.
func TestProgress(t *testing.T) {
	m := (&machine{}).add("sda", "S1", newSparse(20*mib))
	var states []string
	var last wipe.Progress
	_, err := m.host().Run(t.Context(), planFor(t, m.disks, wipe.Policy{}), func(p wipe.Progress) {
		if p.State == last.State && p.Done < last.Done {
			t.Errorf("from %d bytes back to %d", last.Done, p.Done)
		}
		if p.Done > p.Total {
			t.Errorf("%d bytes of %d", p.Done, p.Total)
		}
		if p.State != last.State {
			states = append(states, string(p.State))
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(states, " "); got != "waiting wiping verifying done" {
		t.Errorf("the states are %q", got)
	}
	if last.Done != 10*mib || last.Total != 10*mib {
		t.Errorf("in the end %d bytes of %d", last.Done, last.Total)
	}
}

// TestFailures has one bad disk among good ones.
func TestFailures(t *testing.T) {
	const size = 64 * mib
	for name, test := range map[string]struct {
		// spoil makes sda bad, after the plan.
		spoil func(m *machine)
		wrong string
		// touched is set when something may have been written to sda.
		touched bool
	}{
		"another serial":    {func(m *machine) { m.disks[0].Serial = "S9" }, "/dev/sda is another disk than the plan's, which was [/dev/sda, 67.11 MB, serial S1]; it is now [/dev/sda, 67.11 MB, serial S9]: make a new plan", false},
		"another wwid":      {func(m *machine) { m.disks[0].WWID = "naa.9" }, "is another disk than the plan's", false},
		"another model":     {func(m *machine) { m.disks[0].Model = "Other" }, "is another disk than the plan's", false},
		"another size":      {func(m *machine) { m.disks[0].Size++ }, "is another disk than the plan's", false},
		"gone":              {func(m *machine) { m.disks = m.disks[1:] }, "the disk is gone: [/dev/sda, 67.11 MB, serial S1]", false},
		"another real size": {func(m *machine) { m.devices["sda"].size -= 512 }, "the disk has 67108352 bytes, not 67108864 as in the plan", false},
		"held":              {func(m *machine) { m.disks[0].Holders = []string{"md0"} }, "the disk is in use by md0", false},
		"held for ever": {func(m *machine) {
			m.disks[0].Holders = []string{"md0"}
			m.stop = func(*machine) error { return errors.New("stop md0: busy") }
		}, "the disk is in use by md0\nstop md0: busy", false},
		"mounted":   {func(m *machine) { m.disks[0].Mounts = []string{"/data"} }, "the disk is in use by /data", false},
		"busy":      {func(m *machine) { delete(m.devices, "sda") }, "the disk is in use by something that could not be stopped: open /dev/sda", false},
		"broken":    {func(m *machine) { m.devices["sda"].failing, m.devices["sda"].from = unix.EIO, mib }, "the disk failed; it may be broken: write 1048576 bytes at 1048576: input/output error", true},
		"pulled":    {func(m *machine) { m.devices["sda"].failing, m.devices["sda"].from = unix.ENXIO, mib }, "the disk was unplugged or has broken off its connection", true},
		"dishonest": {func(m *machine) { m.devices["sda"].lazy = true }, "read 1048576 bytes at 0 back: they are not what was written", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := newSparse(size).pattern()
			m := (&machine{}).add("sda", "S1", bad).add("sdb", "S2", newSparse(size).pattern()).add("sdc", "S3", newSparse(size).pattern())
			plan := planFor(t, m.disks, wipe.Policy{})
			before := bad.left()
			test.spoil(m)
			outcomes, err := m.host().Run(t.Context(), plan, func(wipe.Progress) {})
			if err == nil || !strings.HasPrefix(err.Error(), "wipe /dev/sda: ") || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("the error is %v, want %q", err, test.wrong)
			}
			for n, want := range []wipe.State{wipe.Failed, wipe.Done, wipe.Done} {
				if outcomes[n].State != want {
					t.Errorf("%s is %s (%s), want %s", outcomes[n].Disk.Name, outcomes[n].State, outcomes[n].Error, want)
				}
			}
			if after := bad.left(); !test.touched && len(after) != len(before) {
				t.Errorf("there was something at %q, now it is at %q", before, after)
			}
		})
	}
}

// TestRenamed: the kernel gives the disks other names between plan and work.
func TestRenamed(t *testing.T) {
	one, two := newSparse(64*mib).pattern(), newSparse(64*mib).pattern()
	m := (&machine{}).add("sda", "S1", one).add("sdb", "S2", two)
	plan := planFor(t, m.disks, wipe.Policy{Keep: wipe.Keep{Serials: []string{"S2"}}})
	m.disks[0].Name, m.disks[1].Name = "sdb", "sda"
	m.devices["sda"], m.devices["sdb"] = two, one
	if _, err := m.host().Run(t.Context(), plan, func(wipe.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(one.left(), fmt.Sprint(64*mib-page)) || len(strings.Fields(two.left())) != 3 {
		t.Errorf("left are %q of the disk to be wiped and %q of the one to be kept", one.left(), two.left())
	}
}

// TestNameless: a disk without any number is known by its place, and when that has
// changed it is not touched.
func TestNameless(t *testing.T) {
	m := (&machine{}).add("sda", "", newSparse(64*mib).pattern())
	plan := planFor(t, m.disks, wipe.Policy{})
	moved := *m
	moved.disks = []disk.Disk{m.disks[0]}
	moved.disks[0].BusPath = "/elsewhere"
	if _, err := moved.host().Run(t.Context(), plan, func(wipe.Progress) {}); err == nil {
		t.Error("a disk at another place was wiped")
	}
	if _, err := m.host().Run(t.Context(), plan, func(wipe.Progress) {}); err != nil {
		t.Error(err)
	}
}

// TestTwins: two disks that say the same of themselves, as behind cheap USB adapters.
func TestTwins(t *testing.T) {
	one, two := newSparse(64*mib).pattern(), newSparse(64*mib).pattern()
	m := (&machine{}).add("sda", "0000", one).add("sdb", "0000", two)
	plan := planFor(t, m.disks, wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Names: []string{"sdb"}}})
	if _, err := m.host().Run(t.Context(), plan, func(wipe.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if len(strings.Fields(one.left())) != 3 || len(strings.Fields(two.left())) != 1 {
		t.Errorf("left are %q and %q", one.left(), two.left())
	}
}

// TestKeptIsReleasedNot: nothing is stopped for the sake of disks that stay.
func TestOnlyWipedAreReleased(t *testing.T) {
	m := (&machine{}).add("sda", "S1", newSparse(mib)).add("sdb", "S2", newSparse(mib))
	m.disks[0].Holders = []string{"md0"}
	m.stop = func(m *machine) error {
		m.disks = []disk.Disk{m.disks[0], m.disks[1]}
		m.disks[0].Holders = nil
		return nil
	}
	plan := planFor(t, m.disks, wipe.Policy{Keep: wipe.Keep{Serials: []string{"S2"}}})
	outcomes, err := m.host().Run(t.Context(), plan, func(wipe.Progress) {})
	if err != nil || len(outcomes) != 1 {
		t.Errorf("the outcomes are %+v (%v)", outcomes, err)
	}
	if got := strings.Join(m.released, " "); got != "sda" {
		t.Errorf("released are %q", got)
	}
}

// TestCancel: the work ends between two pieces.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := (&machine{}).add("sda", "S1", newSparse(64*mib).pattern())
	host := m.host()
	host.Grace = time.Minute
	outcomes, err := host.Run(ctx, planFor(t, m.disks, wipe.Policy{}), func(p wipe.Progress) {
		if p.State == wipe.Wiping && p.Done > 0 {
			cancel()
		}
	})
	if !strings.Contains(fmt.Sprint(err), "context canceled") || outcomes[0].State != wipe.Failed || !m.devices["sda"].closed {
		t.Errorf("the outcome is %+v (%v)", outcomes, err)
	}
}

// TestStuck: a disk that never answers holds up nobody for ever, and the others are
// wiped.
func TestStuck(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stuck := newSparse(64 * mib)
	stuck.stuck = make(chan struct{})
	t.Cleanup(func() { close(stuck.stuck) })
	m := (&machine{}).add("sda", "S1", stuck).add("sdb", "S2", newSparse(64*mib).pattern())
	outcomes, err := m.host().Run(ctx, planFor(t, m.disks, wipe.Policy{}), func(p wipe.Progress) {
		if p.Disk.Name == "sdb" && p.State == wipe.Done {
			cancel()
		}
	})
	if !strings.Contains(fmt.Sprint(err), "given up while the disk does not answer: context canceled") {
		t.Errorf("the error is %v", err)
	}
	if outcomes[0].State != wipe.Failed || outcomes[1].State != wipe.Done {
		t.Errorf("the outcomes are %+v", outcomes)
	}
}

// TestNothingToDo: a plan without a disk to wipe is done.
func TestNothingToDo(t *testing.T) {
	m := (&machine{}).add("sda", "S1", newSparse(mib).pattern())
	outcomes, err := m.host().Run(t.Context(), planFor(t, m.disks, wipe.Policy{Scope: wipe.None}), func(wipe.Progress) { t.Error("something happens") })
	if err != nil || len(outcomes) != 0 || len(strings.Fields(m.devices["sda"].left())) != 3 {
		t.Errorf("the outcomes are %+v (%v)", outcomes, err)
	}
}

// TestLimits wipes disks as big as numbers get.
func TestLimits(t *testing.T) {
	for _, size := range []int64{512, page, 8*mib + 512, 1<<63 - 512, 1<<62 + page} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			device := newSparse(size)
			mark := []byte("A mark")
			for _, at := range []int64{0, size - int64(len(mark)), 1 << 40, 1<<50 + 5} {
				if at <= size-int64(len(mark)) {
					device.put(at, mark)
				}
			}
			m := (&machine{}).add("sda", "S1", device)
			if _, err := m.host().Run(t.Context(), planFor(t, m.disks, wipe.Policy{}), func(wipe.Progress) {}); err != nil {
				t.Fatal(err)
			}
			// 1 TiB is no place of a format; 1 PiB is btrfs' last.
			want := ""
			if size > 1<<41 {
				want = fmt.Sprint(int64(1 << 40))
			}
			if got := device.left(); got != want {
				t.Errorf("left is something at %q, want %q", got, want)
			}
		})
	}
}

// TestLargestFile does the same on the largest sparse file that the file system takes.
func TestLargestFile(t *testing.T) {
	path := t.TempDir() + "/disk"
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size := int64(1 << 62)
	for ; file.Truncate(size) != nil; size /= 2 {
		continue
	}
	if size < 1<<40 {
		t.Skipf("the file system takes files of %d bytes at most", size)
	}
	mark := bytes.Repeat([]byte{0xA5}, 512)
	for _, at := range []int64{0, size - 512, 256 * gib, 1 << 39} {
		if _, err := file.WriteAt(mark, at); err != nil {
			t.Fatal(err)
		}
	}
	wipeImage(t, path)
	for at, want := range map[int64]bool{0: false, size - 512: false, 256 * gib: false, 1 << 39: true} {
		got := make([]byte, 512)
		if _, err := file.ReadAt(got, at); err != nil || bytes.Equal(got, mark) != want {
			t.Errorf("at %d of %d there is %x… (%v)", at, size, got[:4], err)
		}
	}
}
