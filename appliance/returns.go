package appliance

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// maxAdapters is of how many network adapters of a machine it is remembered that they were answered.
const maxAdapters = 16

// personsWindow is one that a person has opened for a machine, and the binding that it is of.
type personsWindow struct {
	binding    types.UID
	generation int64
}

// sentToDisk is which adapters of a machine have been told within a window to start it from its disk.
type sentToDisk struct {
	window personsWindow
	macs   []string
}

// returns remember which machines were sent to their disks, to know those that come back: there is nothing on the disk that starts.
// It is known of the time in which a person lets a machine have its configuration again, and not beyond a restart of the appliance,
// which costs the machine one more way to its disk.
type returns struct {
	mu   sync.Mutex
	sent map[string]sentToDisk
}

// again tells whether a machine that asks what to boot was sent to its disk before within the same window. The adapter counts: firmware
// tries all that it boots from before the disk.
func (r *returns) again(server, mac string, window personsWindow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.sent[server]
	if before.window != window {
		before = sentToDisk{window: window}
	}
	if slices.Contains(before.macs, mac) {
		return true
	}
	if len(before.macs) < maxAdapters {
		before.macs = append(before.macs, mac)
	}
	if r.sent == nil {
		r.sent = map[string]sentToDisk{}
	}
	r.sent[server] = before
	return false
}

// forget is for a machine whose disk is nobody's question.
func (r *returns) forget(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sent, server)
}
