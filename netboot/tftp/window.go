package tftp

// window is the state of a transfer's blocks: what is in flight and what has
// arrived (RFC 7440; a window of 1 is RFC 1350's lock step). Blocks are counted
// from 1 and never wrap; only their numbers on the wire do.
type window struct {
	size   int64 // blocks in flight at most
	blocks int64 // in the file, the last one short or empty
	base   int64 // the first one not acknowledged
	next   int64 // the first one to send
	again  bool  // the client has reported a gap at base since base moved
}

func newWindow(size, blocks int64) window {
	return window{size: size, blocks: blocks, base: 1, next: 1}
}

// take is the next block to send now; ok is false when the window is full.
func (w *window) take() (block int64, ok bool) {
	if w.next > w.blocks || w.next >= w.base+w.size {
		return 0, false
	}
	w.next++
	return w.next - 1, true
}

// acknowledge handles an acknowledgement and tells whether something new has
// arrived with the client. An acknowledgement from inside the window says that
// what follows was lost, and sending goes on from there. A
// repeated one is ignored in lock step (answering it doubles every packet from
// there on, the sorcerer's apprentice) and believed once in a wider window.
func (w *window) acknowledge(number uint16) (progress bool) {
	arrived := int64(number - uint16(w.base-1)) // modulo 65536
	switch {
	case arrived > w.next-w.base:
		return false // of the past
	case arrived > 0:
		w.base += arrived
		w.next, w.again = w.base, false
		return true
	case w.size > 1 && !w.again:
		w.next, w.again = w.base, true
	}
	return false
}

// gap tells whether there is something to send again before its time.
func (w *window) gap() bool { return w.again && w.next == w.base }

// rewind makes everything in flight be sent again.
func (w *window) rewind() { w.next, w.again = w.base, false }

// done tells whether the client has everything.
func (w *window) done() bool { return w.base > w.blocks }
