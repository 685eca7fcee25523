// Package bootwindow decides when a machine may fetch its configuration, which holds secrets of its cluster. Whoever tells the
// machine where to fetch it and whoever hands it out ask the same function.
package bootwindow

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	// Duration is how long a window is open, unless its end comes before.
	Duration = 30 * time.Minute
	// skew is how far the clock that wrote a time may be ahead of the one that reads it.
	skew = time.Minute
)

// Of is the window of a binding as it is now: what its status says, and what has happened since. The second result tells whether
// that is written already.
func Of(binding *v1alpha3.ServerBinding, server *metal.Server, now time.Time) (v1alpha3.BootWindow, bool) {
	window := v1alpha3.BootWindow{
		Generation: 1, OpenedAt: metav1.NewMicroTime(binding.CreationTimestamp.Time), OpenedBy: v1alpha3.OpenedByBinding,
	}
	if stored := binding.Status.BootWindow; stored != nil {
		window = *stored
	}

	loaded, written := binding.Status.ConfigurationLoadedAt, true

	// What the server was started for before it was bound is no business of this binding.
	if started := server.Status.StartedAt; started != nil && started.After(window.OpenedAt.Time) {
		window, written = reopened(window, loaded, v1alpha3.OpenedByPower, started.Time), false
	}

	if request := server.Annotations[metal.BootWindowAnnotation]; request != "" && request != window.Request {
		window, written = reopened(window, loaded, v1alpha3.OpenedByPerson, now), false
		window.Request = request
	}

	return window, written
}

// reopened is a window that is opened again. While it is open it stays the same window, whose token a machine may have got just
// now, and what a person has allowed goes on.
func reopened(w v1alpha3.BootWindow, loaded *metav1.MicroTime, by v1alpha3.BootWindowOpener, at time.Time) v1alpha3.BootWindow {
	if loaded != nil && loaded.After(at) {
		loaded = nil // that came later
	}

	open := Open(w, loaded, at)
	if !open {
		w.Generation++
	}

	if !open || w.OpenedBy != v1alpha3.OpenedByPerson {
		w.OpenedBy = by
	}

	w.OpenedAt = metav1.NewMicroTime(at)

	return w
}

// Open tells whether a window is open. The machine may have loaded its configuration last at a time that is given.
func Open(w v1alpha3.BootWindow, loaded *metav1.MicroTime, now time.Time) bool {
	if loaded != nil && !loaded.Before(&w.OpenedAt) {
		return false
	}

	age := now.Sub(w.OpenedAt.Time)

	return age < Duration && age >= -skew
}

// ByPerson is the window of a binding as it is now, if it is open and a person has opened it.
func ByPerson(binding *v1alpha3.ServerBinding, server *metal.Server, now time.Time) (v1alpha3.BootWindow, bool) {
	window, _ := Of(binding, server, now)

	return window, window.OpenedBy == v1alpha3.OpenedByPerson && Open(window, binding.Status.ConfigurationLoadedAt, now)
}

// Accepts tells whether a machine may come with the token of a generation. A person who opens a window means a machine that
// asks, as one does after a reset: with the token that it was installed with.
func Accepts(w v1alpha3.BootWindow, generation int64) bool {
	return generation == w.Generation || w.OpenedBy == v1alpha3.OpenedByPerson && generation < w.Generation
}
