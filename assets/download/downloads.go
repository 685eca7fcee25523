package download

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

const (
	// atOnce and atOnceFromHost bound the downloads that run. A host that hangs takes no more places than its own.
	atOnce         = 16
	atOnceFromHost = 4
	// looksEvery is how often people's files are looked for while something is missing.
	looksEvery = 5 * time.Second
	// tellsEvery is how often progress is told.
	tellsEvery = 3 * time.Second
)

// Config is what Downloads need.
type Config struct {
	Store *store.Store
	// Offline is where people put what cannot be downloaded.
	Offline *offline.Folder
	// Folders are those that file:// URLs may name files in.
	Folders []string
	// Changed is told of who asked for a file about which something is new. It must not block, and may call State. Optional.
	Changed func(owner string)
	Log     *slog.Logger
	// Transport replaces Go's own, in tests. Optional.
	Transport http.RoundTripper
	// Free replaces the look at the disk, in tests. Optional.
	Free func() (int64, error)
	// Largest replaces the limit of a file's size in bytes, in tests. Optional.
	Largest int64
}

// Downloads sees that the store holds what is asked for. It is safe for concurrent use.
type Downloads struct {
	config Config
	client *http.Client
	wake   chan struct{}

	mu     sync.Mutex
	wanted map[string][]store.Ref // by owner
	jobs   map[string]*job        // by URL: what is missing

	running sync.WaitGroup
}

// New prepares downloads; none begins before Run.
func New(config Config) *Downloads {
	if config.Transport == nil {
		config.Transport = transport()
	}
	if config.Free == nil {
		config.Free = config.Store.Free
	}
	if config.Largest == 0 {
		config.Largest = largest
	}
	if config.Changed == nil {
		config.Changed = func(string) {}
	}
	return &Downloads{
		config: config,
		client: client(config.Transport),
		wake:   make(chan struct{}, 1),
		wanted: map[string][]store.Ref{},
		jobs:   map[string]*job{},
	}
}

// Want says which files an owner asks for, in place of those it asked for before; without any it asks for none. Asking again
// for the same has the disk looked at: what is lost there is downloaded once more. Asking for something else of the same URL
// has it tried at once.
func (d *Downloads) Want(owner string, refs ...store.Ref) {
	missing := map[string]*job{}
	for _, ref := range refs {
		if stale := d.stale(ref); stale || !d.there(ref) {
			missing[ref.URL] = &job{url: ref.URL, stale: stale}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.wanted[owner]
	if len(refs) == 0 {
		delete(d.wanted, owner)
	} else {
		d.wanted[owner] = slices.Clone(refs)
	}
	for _, ref := range refs {
		if job, ok := d.jobs[ref.URL]; ok && !slices.Contains(before, ref) {
			job.renew() // what was wrong with it may be right now
		}
	}
	for url, job := range missing {
		if _, ok := d.jobs[url]; !ok {
			d.jobs[url] = job
		}
	}
	d.settle()
	d.rouse()
}

// settle drops the jobs that nobody needs any more. The lock is held.
func (d *Downloads) settle() {
	for url, job := range d.jobs {
		switch {
		case d.needs(url), job.stale && len(d.owners(url)) > 0:
		case job.running != nil:
			job.running() // it drops the job when it has ended
		default:
			delete(d.jobs, url)
		}
	}
}

// there tells whether the store holds a file.
func (d *Downloads) there(ref store.Ref) bool {
	_, err := d.config.Store.Find(ref)
	return err == nil
}

// stale tells whether a file of this machine has changed since it was copied.
func (d *Downloads) stale(ref store.Ref) bool {
	if ref.SHA512 != "" || !isFile(ref.URL) {
		return false
	}
	blob, err := d.config.Store.Find(ref)
	if err != nil || blob.Version == "" {
		return false
	}
	now := folders(d.config.Folders).version(ref.URL)
	return now != "" && now != blob.Version
}

// isFile tells a file of this machine. A scheme has no case (RFC 3986 section 3.1).
func isFile(url string) bool {
	const scheme = "file:"
	return len(url) >= len(scheme) && strings.EqualFold(url[:len(scheme)], scheme)
}

// Wanted are the files that anybody asks for.
func (d *Downloads) Wanted() []store.Ref {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []store.Ref
	for _, refs := range d.wanted {
		all = append(all, refs...)
	}
	return all
}

// State is how far a file is.
type State struct {
	// Blob is the file; nil while it is not there.
	Blob *store.Blob
	// Reason that it is not there.
	Reason Reason
	// Err is why the last attempt failed; nil when none did, or the next one has come further.
	Err error
	// Next is when the next attempt begins at the latest; zero while one runs.
	Next time.Time
	// Received and Total are bytes; Total is 0 while it is not known.
	Received, Total int64
}

// State tells how far a file is that was asked for.
func (d *Downloads) State(ref store.Ref) State {
	if blob, err := d.config.Store.Find(ref); err == nil {
		return State{Blob: &blob}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	job, ok := d.jobs[ref.URL]
	if !ok {
		return State{Reason: Queued}
	}
	return job.state()
}

// Run downloads until ctx ends.
func (d *Downloads) Run(ctx context.Context) error {
	defer d.running.Wait()
	tell := time.NewTicker(tellsEvery)
	defer tell.Stop()
	d.running.Go(func() { d.lookAround(ctx) })
	for {
		timer := time.NewTimer(d.start(ctx))
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		case <-tell.C:
			d.tellProgress()
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// rouse has Run look at the jobs.
func (d *Downloads) rouse() {
	select {
	case d.wake <- struct{}{}:
	default: // it will
	}
}

// start begins what is due, and returns how long nothing will be.
func (d *Downloads) start(ctx context.Context) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	begin, wait := due(d.jobs, time.Now())
	for _, job := range begin {
		running, cancel := context.WithCancel(ctx)
		job.begin(cancel)
		last := job.memory
		d.running.Go(func() {
			defer cancel()
			d.end(job, d.attempt(running, job, last))
		})
	}
	return wait
}

// tellProgress tells those who wait for what is under way.
func (d *Downloads) tellProgress() {
	d.mu.Lock()
	var urls []string
	for url, job := range d.jobs {
		if job.running != nil {
			urls = append(urls, url)
		}
	}
	owners := d.owners(urls...)
	d.mu.Unlock()
	d.tell(owners)
}

// owners are those who ask for any of the URLs. The lock is held.
func (d *Downloads) owners(urls ...string) []string {
	var owners []string
	for owner, refs := range d.wanted {
		if slices.ContainsFunc(refs, func(r store.Ref) bool { return slices.Contains(urls, r.URL) }) {
			owners = append(owners, owner)
		}
	}
	return owners
}

func (d *Downloads) tell(owners []string) {
	for _, owner := range owners {
		d.config.Changed(owner)
	}
}

// digests are those that are asked for of a URL, and whether any will do.
func (d *Downloads) digests(url string) (digests []string, anything bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, refs := range d.wanted {
		for _, ref := range refs {
			if ref.URL == url && ref.SHA512 != "" {
				digests = append(digests, ref.SHA512)
			}
			anything = anything || ref.URL == url && ref.SHA512 == ""
		}
	}
	return digests, anything
}

// lookAround looks for what people bring until ctx ends.
func (d *Downloads) lookAround(ctx context.Context) {
	tick := time.NewTicker(looksEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.look(ctx)
		}
	}
}

// look has the jobs begin for which somebody has brought a file since the last attempt.
func (d *Downloads) look(ctx context.Context) {
	for _, job := range d.idle() {
		digests, _ := d.digests(job.url)
		file, err := d.config.Offline.Find(ctx, job.url, digests...)
		if err != nil {
			continue
		}
		d.mu.Lock()
		if job.running == nil && !job.brought.same(file) {
			job.next = time.Time{}
		}
		d.mu.Unlock()
		d.rouse()
	}
}

func (d *Downloads) idle() []*job {
	d.mu.Lock()
	defer d.mu.Unlock()
	var idle []*job
	for _, job := range d.jobs {
		if job.running == nil && !job.next.IsZero() {
			idle = append(idle, job)
		}
	}
	return idle
}

// spread varies a pause by a fifth, so that what failed together is not tried again together.
func spread(pause time.Duration) time.Duration {
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}
