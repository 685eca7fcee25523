package wipe

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// State is how far the wipe of a disk is.
type State string

// The states, in their order.
const (
	Waiting   State = "waiting"
	Wiping    State = "wiping"
	Verifying State = "verifying"
	Done      State = "done"
	Failed    State = "failed"
)

// Progress is how far the wipe of one disk is; the last one of a disk is its outcome.
type Progress struct {
	Disk  Identity `json:"disk"`
	State State    `json:"state"`
	// Method is what is really done.
	Method Method `json:"method"`
	// Done and Total are bytes, of what is written or, while verifying, read back.
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
	// Erasing tells that the disk erases itself, of which nothing is seen until it is done.
	Erasing bool `json:"erasing,omitempty"`
	// Notes say where the work departed from the plan, and why.
	Notes []string `json:"notes,omitempty"`
	// Error is set when State is Failed.
	Error string `json:"error,omitempty"`
}

func (p Progress) final() bool { return p.State == Done || p.State == Failed }

// ledger holds the progress of all disks of a plan, and passes on each change, one at
// a time.
type ledger struct {
	mutex   sync.Mutex
	disks   []Progress
	closed  bool
	changed func(Progress)
}

func newLedger(steps []Step, changed func(Progress)) *ledger {
	l := &ledger{changed: changed}
	for _, step := range steps {
		l.disks = append(l.disks, Progress{Disk: step.Disk, State: Waiting, Method: step.Method})
	}
	return l
}

// update changes the progress of a disk whose outcome is still open.
func (l *ledger) update(n int, change func(*Progress)) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed || l.disks[n].final() {
		return
	}
	change(&l.disks[n])
	l.changed(l.snapshot(n))
}

func (l *ledger) snapshot(n int) Progress {
	p := l.disks[n]
	p.Notes = slices.Clone(p.Notes)
	return p
}

// finish records a disk's outcome.
func (l *ledger) finish(n int, err error) {
	l.update(n, func(p *Progress) {
		p.State = Done
		if err != nil {
			p.State, p.Error = Failed, err.Error()
		}
	})
}

// close ends all that is not finished with an error, and returns the outcomes. What
// still runs changes nothing any more.
func (l *ledger) close(cause error) ([]Progress, error) {
	if cause == nil {
		cause = errors.New("the wipe ended before it came to this disk")
	}
	for n := range l.disks {
		l.finish(n, cause)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.closed = true
	var failed []error
	outcomes := make([]Progress, 0, len(l.disks))
	for n, p := range l.disks {
		outcomes = append(outcomes, l.snapshot(n))
		if p.State == Failed {
			failed = append(failed, fmt.Errorf("wipe %s: %s", p.Disk.Path, p.Error))
		}
	}
	return outcomes, errors.Join(failed...)
}
