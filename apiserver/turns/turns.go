// Package turns keeps lists from taking all processors.
//
// Listing ten thousand objects is a tenth of a second of nothing but computing. Priority and fairness counts the
// requests that are in progress, of which a machine with many processors can have many; on two processors a dozen lists
// at once make each step of every other request wait behind them, and a write has dozens of steps.
package turns

import (
	"bufio"
	"context"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// part is how many bytes of a list are gathered before they are written and the turn ends. Encoders and gzip write a few
	// hundred bytes at a time: a turn for each would make a list wait thousands of times.
	part = 64 << 10
	// longest is how long a turn lasts at most. Whoever has it may be waiting himself, such as for a watch cache to become as
	// new as was asked for, which the cache does for three seconds. It is the turn that ends and not the patience of the others:
	// many who wait are no reason to begin all at once. Until its first part is written, a list of ten thousand servers takes more
	// than a second beside others: turns that end before that are lists that are worked on side by side.
	longest = 4 * time.Second
)

// Handler lets so many lists be worked on at once, and the others in turn. A turn lasts until a part of the list is
// written, so that a client that reads slowly takes no turn from anybody. The users who wait have turns one after the
// other, however many lists each asks for. Of a user's lists the oldest has the turn: side by side all of them would end
// late, and be in memory until then, a hundred megabytes for ten thousand servers.
//
// Only lists of these group-versions take turns. Those of custom resources are left out: a conversion webhook may ask the
// API server anything before it answers.
func Handler(next http.Handler, versions []schema.GroupVersion, atOnce int) http.Handler {
	queue := &queue{free: atOnce}
	taking := sets.New(versions...)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Verb != "list" || !taking.Has(schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}) {
			next.ServeHTTP(w, r)

			return
		}

		t := &turn{ctx: r.Context(), queue: queue, list: queue.arrive(r.Context())}
		t.take()
		defer t.leave()

		answer := &writer{ResponseWriter: w}
		answer.buffer = bufio.NewWriterSize(between{w, t}, part)
		next.ServeHTTP(answer, r)

		_ = answer.buffer.Flush() // the client has gone
	})
}

// turn is a request's.
type turn struct {
	ctx   context.Context //nolint:containedctx // of the one request that it is for
	queue *queue
	list  list
	// end gives the place away when the turn has lasted long enough. It is nil while there is no turn.
	end *time.Timer
}

func (t *turn) take() {
	if t.queue.wait(t.ctx, t.list) {
		t.end = time.AfterFunc(longest, func() { t.queue.leave(t.list) })
	}
}

func (t *turn) leave() {
	if t.end != nil && t.end.Stop() {
		t.queue.leave(t.list)
	}

	t.end = nil
}

// between gives others a turn while it writes.
type between struct {
	http.ResponseWriter

	turn *turn
}

func (b between) Write(p []byte) (int, error) {
	b.turn.leave()
	defer b.turn.take()

	return b.ResponseWriter.Write(p) //nolint:wrapcheck // a writer's own error
}

// writer gathers parts of an answer.
type writer struct {
	http.ResponseWriter

	buffer *bufio.Writer
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) { return w.buffer.Write(p) } //nolint:wrapcheck // a writer's own error

// Flush implements http.Flusher.
func (w *writer) Flush() {
	_ = w.buffer.Flush() // the next Write tells

	if inner, ok := w.ResponseWriter.(http.Flusher); ok {
		inner.Flush()
	}
}

// Unwrap is the writer inside.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
