package lab

import (
	"strings"
	"time"
)

// lineReader turns the byte stream of a serial terminal into lines of plain
// text. It knows as much of ECMA-48 as SeaBIOS, iPXE, OVMF and Linux use: a
// carriage return ends a line as a line feed does (iPXE redraws its progress
// with it), and so does a move of the cursor (OVMF sends no line ends at all).
type lineReader struct {
	done    []Line
	text    []byte
	at      time.Duration // when the last byte of text arrived
	now     time.Duration
	control controlState
}

// controlState says where in a control sequence the last byte stood.
type controlState int

const (
	plain    controlState = iota
	escaped               // after ESC
	sequence              // after ESC [
)

// read takes the next bytes, which arrived at the given time.
func (r *lineReader) read(p []byte, at time.Duration) {
	r.now = at
	for _, b := range p {
		switch r.control {
		case plain:
			r.readPlain(b)
		case escaped:
			r.control = plain
			if b == '[' {
				r.control = sequence
			}
		case sequence:
			r.readSequence(b)
		}
	}
}

func (r *lineReader) readPlain(b byte) {
	switch {
	case b == 0x1b:
		r.control = escaped
	case b == '\n' || b == '\r':
		r.flush()
	case b == '\b':
		r.text = r.text[:max(0, len(r.text)-1)]
	case b >= ' ' || b == '\t':
		r.text, r.at = append(r.text, b), r.now
	}
}

// readSequence skips to the final byte of ESC [ ... (ECMA-48 section 5.4).
func (r *lineReader) readSequence(b byte) {
	if b < 0x40 || b > 0x7e {
		return
	}
	r.control = plain
	if strings.IndexByte("HfJEF", b) >= 0 { // to another place, or the screen cleared
		r.flush()
	}
}

// flush ends the current line. Blank ones are dropped.
func (r *lineReader) flush() {
	if line, ok := r.unfinished(); ok {
		r.done = append(r.done, line)
	}
	r.text = r.text[:0]
}

// unfinished is the line whose end has not come yet.
func (r *lineReader) unfinished() (Line, bool) {
	text := strings.TrimSpace(strings.ToValidUTF8(string(r.text), "�"))
	return Line{At: r.at, Text: text}, text != ""
}
