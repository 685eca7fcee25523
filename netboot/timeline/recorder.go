package timeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	// pause is how long a server's status is left alone after it was written.
	pause = 2 * time.Second
	// maxWaiting is how many sightings wait to be looked at, and for one server to be written. Further ones are dropped: to
	// boot is more important than to tell of it.
	maxWaiting   = 4096
	maxOfAServer = 64
	// repeatsPause is how many pauses what only counts further waits for something new, to be written with it.
	repeatsPause = 30
	// writesWithin bounds one write.
	writesWithin = 10 * time.Second
)

// Config is what a Recorder needs.
type Config struct {
	// Client reads and writes Servers without a cache.
	Client client.Client
	// Find tells the name of a machine's Server by what its firmware tells, empty when that is not certain.
	Find   func(ctx context.Context, uuid, mac string) string
	Events events.EventRecorder
	Log    *slog.Logger
	// Pause is how long a server's status is left alone after it was written: 2 s when zero.
	Pause time.Duration
}

// Recorder is the component that writes what was seen.
type Recorder struct {
	config Config

	mu      sync.Mutex
	waiting []Sighting
	places  map[string]int // of those that wait, by what they tell
	running bool
}

// New makes a recorder. It may be told sightings before it runs.
func New(config Config) *Recorder {
	config.Pause = cmp.Or(config.Pause, pause)

	return &Recorder{config: config, places: map[string]int{}}
}

// Saw is told a sighting. It never blocks.
func (r *Recorder) Saw(s Sighting) {
	key := strings.Join(append([]string{s.Server, s.UUID, s.Address, s.Step, s.Detail}, s.MACs...), "\x00")

	r.mu.Lock()
	defer r.mu.Unlock()

	at, same := r.places[key]

	switch {
	case same:
		r.waiting[at].again++
	case len(r.waiting) < maxWaiting:
		r.places[key] = len(r.waiting)
		r.waiting = append(r.waiting, s)
	}
}

// Name identifies the component.
func (*Recorder) Name() string { return "timeline" }

// Ready tells whether it runs.
func (r *Recorder) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	if !r.running {
		return errors.New("what machines do is not written down yet")
	}

	return nil
}

// Run writes until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	r.run(true)
	defer r.run(false)

	tick := time.NewTicker(r.config.Pause / 4)
	defer tick.Stop()

	find := func(uuid, mac string) string { return r.config.Find(ctx, uuid, mac) }
	w := &writer{Config: r.config, book: newBook(find), due: map[string][]Sighting{}, held: map[string]waiting{}, written: map[string]time.Time{}}

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}

		for _, s := range r.take() {
			w.sort(s)
		}

		w.write(ctx)
	}
}

func (r *Recorder) run(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.running = running
}

func (r *Recorder) take() []Sighting {
	r.mu.Lock()
	defer r.mu.Unlock()

	waiting := r.waiting
	r.waiting = nil
	clear(r.places)

	return waiting
}

// writer has what is to be written, by servers.
type writer struct {
	Config

	book    *book
	due     map[string][]Sighting
	held    map[string]waiting   // what only counts further
	written map[string]time.Time // of those that are left alone for a while
}

// waiting is what was seen of a server, and since when it waits to be written.
type waiting struct {
	seen  []Sighting
	since time.Time
}

func (w *writer) sort(s Sighting) {
	server, seen := w.book.of(s)

	for _, one := range seen {
		w.due[server] = merge(w.due[server], one)
	}
}

// merge adds a sighting, or counts it.
func merge(all []Sighting, one Sighting) []Sighting {
	at := slices.IndexFunc(all, func(d Sighting) bool { return d.Step == one.Step && d.Detail == one.Detail && d.Address == one.Address })

	switch {
	case at >= 0:
		all[at].again += 1 + one.again
	case len(all) < maxOfAServer:
		all = append(all, one)
	}

	return all
}

func (w *writer) write(ctx context.Context) {
	for server, at := range w.written {
		if time.Since(at) >= w.Pause {
			delete(w.written, server)
		}
	}

	for server, held := range w.held {
		if _, more := w.due[server]; !more && w.overdue(held) {
			w.due[server] = nil
		}
	}

	for server, seen := range w.due {
		if _, resting := w.written[server]; resting || ctx.Err() != nil {
			continue
		}

		all := w.held[server]
		for _, one := range seen {
			all.seen = merge(all.seen, one)
		}

		delete(w.due, server)
		delete(w.held, server)
		w.written[server] = time.Now()

		// A write goes on when ctx ends meanwhile: the API server calls a request that is dropped an error.
		if err := w.add(context.WithoutCancel(ctx), server, all); client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
			w.Log.Warn("what a machine did is not written down", "server", server, "reason", err)
		}
	}
}

func (w *writer) overdue(held waiting) bool { return time.Since(held.since) >= repeatsPause*w.Pause }

// add writes what was seen of a server, or holds it. Nobody else writes boots.
func (w *writer) add(ctx context.Context, name string, all waiting) error {
	ctx, cancel := context.WithTimeout(ctx, writesWithin)
	defer cancel()

	server := &v1alpha2.Server{}
	if err := w.Client.Get(ctx, client.ObjectKey{Name: name}, server); err != nil {
		return fmt.Errorf("read server: %w", err)
	}

	before := server.DeepCopy()
	server.Status.Boots = Add(server.Status.Boots, all.seen...)

	switch {
	case apiequality.Semantic.DeepEqual(before.Status.Boots, server.Status.Boots):
		return nil
	case apiequality.Semantic.DeepEqual(uncounted(before.Status.Boots), uncounted(server.Status.Boots)):
		if all.since.IsZero() {
			all.since = time.Now()
		}

		if !w.overdue(all) {
			w.held[name] = all

			return nil
		}
	}

	if err := w.Client.Status().Patch(ctx, server, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("write status: %w", err)
	}

	for _, s := range all.seen {
		w.Events.Eventf(server, nil, corev1.EventTypeNormal, "Server Boot", s.Step, "%s", text(s))
	}

	return nil
}

// uncounted are boots without how often each step was repeated.
func uncounted(boots []v1alpha2.Boot) []v1alpha2.Boot {
	all := slices.Clone(boots)
	for i := range all {
		all[i] = *all[i].DeepCopy()
		for n := range all[i].Steps {
			all[i].Steps[n].Repeated = 0
		}
	}

	return all
}

// text tells people of a sighting.
func text(s Sighting) string {
	told := s.Step
	if s.Detail != "" {
		told += ": " + s.Detail
	}

	if s.Address != "" {
		told += ", from " + s.Address
	}

	return told
}
