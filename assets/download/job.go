package download

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/offline"
)

// Pauses between attempts grow from the first to the longest.
const (
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
	// furtherBytes is how much further an attempt has to come to count as the first again.
	furtherBytes = 1 << 20
	// uselessPauses is how many times longer to wait after a useless download.
	uselessPauses = 6
)

// job is a URL whose content is missing. Its fields, but the counts of bytes, are guarded by the lock of Downloads.
type job struct {
	url string
	// running ends the attempt that is under way; nil when there is none.
	running context.CancelFunc
	// tries is how many attempts failed one after another.
	tries int
	// next is when the next attempt is due; zero is at once.
	next time.Time
	// failure of the last attempt.
	failure *Failure
	memory
	// stale is content that is there, while its source has another one.
	stale bool
	// renewed is an attempt that began before somebody asked for something else.
	renewed bool

	received, total, begun atomic.Int64
}

// brought tells files apart that people brought.
type brought struct {
	name    string
	size    int64
	changed time.Time
}

func (b brought) same(file offline.File) bool { return b == broughtOf(file) }

func broughtOf(file offline.File) brought { return brought{file.Name, file.Size, file.Changed} }

// begin notes that an attempt runs.
func (j *job) begin(cancel context.CancelFunc) {
	j.running, j.next = cancel, time.Time{}
	j.begun.Store(j.received.Load())
}

// report notes how far the attempt is.
func (j *job) report(received, total int64) {
	j.received.Store(received)
	j.total.Store(total)
}

// renew has the job begin anew.
func (j *job) renew() {
	j.tries, j.next, j.failure, j.memory = 0, time.Time{}, nil, memory{}
	j.renewed = j.running != nil
}

// fail notes that the attempt ended without the file.
func (j *job) fail(failure *Failure, now time.Time) {
	j.running, j.failure = nil, failure
	if !useless(failure) && j.received.Load() >= j.begun.Load()+furtherBytes {
		j.tries = 0
	}
	j.tries++
	wait := spread(pause(j.tries))
	if useless(failure) {
		j.report(0, 0)
		wait *= uselessPauses
	}
	j.next = now.Add(max(wait, failure.After))
}

// useless tells whether all was downloaded, or as much as could be, for nothing.
func useless(failure *Failure) bool {
	return failure.Reason == DigestMismatch || failure.Reason == TooLarge
}

// pause is how long to wait after so many failures.
func pause(tries int) time.Duration {
	const doublings = 7 // are beyond the longest
	return min(firstPause<<min(tries-1, doublings), longestPause)
}

func (j *job) state() State {
	s := State{Reason: Queued, Next: j.next, Received: j.received.Load(), Total: j.total.Load()}
	moved := j.running != nil && s.Received != j.begun.Load()
	switch {
	case j.failure != nil && !moved:
		s.Reason, s.Err = j.failure.Reason, j.failure
	case j.running != nil:
		s.Reason = Downloading
	}
	return s
}

// due are the jobs to begin now, the longest waiting first, and how long there will be no others.
func due(jobs map[string]*job, now time.Time) (begin []*job, wait time.Duration) {
	running, hosts := 0, map[string]int{}
	for _, job := range jobs {
		if job.running != nil {
			running++
			hosts[host(job.url)]++
		}
	}
	waiting := slices.SortedFunc(maps.Values(jobs), func(a, b *job) int {
		return cmp.Or(a.next.Compare(b.next), cmp.Compare(a.url, b.url))
	})
	wait = time.Hour
	for _, job := range waiting {
		at := host(job.url)
		switch {
		case job.running != nil:
		case job.next.After(now):
			wait = min(wait, job.next.Sub(now))
		case running < atOnce && hosts[at] < atOnceFromHost: // else the end of another rouses
			begin = append(begin, job)
			running++
			hosts[at]++
		}
	}
	return begin, wait
}

// host is what a download keeps busy.
func host(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}
