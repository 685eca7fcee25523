package appliance

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	// diskWithin is how long firmware needs to come to the disk after it was sent there, with all that it boots from before: UEFI
	// may try HTTP after PXE, by the same adapter, and each of several adapters takes a minute. What asks later than that has found
	// nothing on the disk that starts.
	diskWithin = 5 * time.Minute
	// maxAdapters is of how many network adapters of a machine it is remembered that they were answered.
	maxAdapters = 16
)

// personsWindow is one that a person has opened, and the binding that it is of.
type personsWindow struct {
	binding    types.UID
	generation int64
}

// sentToDisk is when each adapter of a machine was first told within a window to start it from its disk.
type sentToDisk struct {
	window personsWindow
	first  map[string]time.Time
}

// returns remember which machines in use were sent to their disks while a person lets them have their configuration again, to know those
// that come back. A restart of the appliance costs such a machine one more way to its disk.
type returns struct {
	mu   sync.Mutex
	sent map[string]sentToDisk
}

// anew tells whether a machine that has an operating system is to boot from the network nevertheless: a person lets it have its
// configuration again, it has not fetched that yet, and it was started since by its power control, or has come back from its disk.
func (r *returns) anew(b *v1alpha3.ServerBinding, s *v1alpha2.Server, mac string, now time.Time) bool {
	window, open := bootwindow.ByPerson(b, s, now)
	if !open || s.Status.HasStep(v1alpha2.StepConfig, window.OpenedAt.Time) {
		r.forget(b.Name)
		return false
	}
	// A start while the window is open opens it once more, and leaves it a person's.
	if started := s.Status.StartedAt; started != nil && !started.Before(&window.OpenedAt) {
		return true
	}
	return r.again(b.Name, mac, personsWindow{b.UID, window.Generation}, now)
}

// again tells whether a machine that asks what to boot was sent to its disk within the same window, and has been there.
func (r *returns) again(server, mac string, window personsWindow, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.sent[server]
	if known.window != window {
		known = sentToDisk{window: window, first: map[string]time.Time{}}
	}
	if first, ok := known.first[mac]; ok {
		return now.Sub(first) >= diskWithin
	}
	if len(known.first) < maxAdapters {
		known.first[mac] = now
	}
	if r.sent == nil {
		r.sent = map[string]sentToDisk{}
	}
	r.sent[server] = known
	return false
}

// forget is for a machine that nobody lets have its configuration again.
func (r *returns) forget(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sent, server)
}
