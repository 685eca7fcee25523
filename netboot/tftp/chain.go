package tftp

import (
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Chain keeps machines from loading their boot program for ever.
//
// On a LAN whose DHCP server names our boot program and knows nothing of iPXE,
// the program starts, asks DHCP again, is given its own name again and loads
// itself again. So when it is the program itself that asks, it gets the script
// under the program's name.
type Chain struct {
	// Programs are the clean names of legacy BIOS boot programs. UEFI's do not
	// belong here: an iPXE there tries autoexec.ipxe first, and an old one in a
	// ROM has to get the real file.
	Programs []string
	// Script is what a running boot program is to do, for clients that asked
	// this address of ours.
	Script func(local netip.Addr) []byte
}

// ChainMemory is how long a request or a completed load says anything about the
// next one.
const ChainMemory = 2 * time.Minute

// Loads is what one address has done with one boot program before.
type Loads struct {
	Asked     time.Time // the last request, answered with the program
	Completed time.Time // the last load that completed; zero means none
	Shapes    []Shape   // of the requests up to the first completed load
}

// outdated tells whether there has been neither a request nor a load for
// ChainMemory.
func (l Loads) outdated(now time.Time) bool {
	return now.Sub(l.Asked) >= ChainMemory && now.Sub(l.Completed) >= ChainMemory
}

// Shape is a digest of what the requests of one client have in common.
type Shape [sha256.Size]byte

// AskedByIPXE decides whether a request for a boot program comes from the boot
// program, running, and not from firmware about to start it.
//
// iPXE's requests have been the same from 1.0.0 (2019) to 1.21.1 (2025). For
// others it is a request of another shape than those that loaded the program
// within the last two minutes: two different clients ask from one address. A
// request of the same shape is the same firmware after a reset, and must get
// the program: firmware that is given a script executes its text.
func AskedByIPXE(request Request, before Loads, now time.Time) bool {
	options := request.Options
	if len(options) == 2 && options.Get("blksize") == "1432" && options.Get("tsize") == "0" {
		return true
	}
	return !before.Completed.IsZero() && now.Sub(before.Completed) < ChainMemory &&
		!slices.Contains(before.Shapes, shape(request))
}

// shape digests a request's mode and options, with their values but for that of
// tsize.
func shape(request Request) Shape {
	var text strings.Builder
	text.WriteString(request.Mode)
	for _, o := range request.Options {
		if o.Name == "tsize" {
			o.Value = ""
		}
		text.WriteString(" " + o.Name + "=" + o.Value)
	}
	return sha256.Sum256([]byte(text.String()))
}

const (
	maxRemembered = 1024 // addresses and programs
	maxShapes     = 8    // UEFI uses two, for learning the size and for loading
)

// history remembers loads of boot programs for ChainMemory. A load takes some
// hundred bytes, whatever its requests held.
type history struct {
	chain   Chain
	loads   map[load]Loads
	cleaned time.Time // when what is out of date was last thrown away
}

type load struct {
	client  netip.Addr
	program string
}

func newHistory(chain Chain) *history {
	return &history{chain: chain, loads: map[load]Loads{}}
}

// script is what to send instead of the file, nil for the file itself.
func (h *history) script(request Request, now time.Time) []byte {
	if !slices.Contains(h.chain.Programs, request.Name) {
		return nil
	}
	key := load{request.Remote.Addr(), request.Name}
	before := h.loads[key]
	if before.outdated(now) {
		before = Loads{}
	}
	if AskedByIPXE(request, before, now) {
		return h.chain.Script(request.Local)
	}
	if !before.Completed.IsZero() && now.Sub(before.Completed) >= ChainMemory {
		before = Loads{}
	}
	if before.Completed.IsZero() && len(before.Shapes) < maxShapes && !slices.Contains(before.Shapes, shape(request)) {
		before.Shapes = append(slices.Clone(before.Shapes), shape(request))
	}
	before.Asked = now
	h.put(key, before, now)
	return nil
}

// completed notes that a client has loaded the real program.
func (h *history) completed(request Request, now time.Time) {
	key := load{request.Remote.Addr(), request.Name}
	if before, known := h.loads[key]; known {
		before.Completed = now
		h.put(key, before, now)
	}
}

func (h *history) put(key load, value Loads, now time.Time) {
	if now.Sub(h.cleaned) >= ChainMemory {
		h.cleaned = now
		maps.DeleteFunc(h.loads, func(_ load, loads Loads) bool { return loads.outdated(now) })
	}
	// What is too much goes, and everything else with it: that costs a machine
	// in a loop one more turn.
	if _, known := h.loads[key]; !known && len(h.loads) >= maxRemembered {
		clear(h.loads)
	}
	h.loads[key] = value
}
