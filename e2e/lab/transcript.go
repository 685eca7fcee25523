package lab

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Line is one line of a Transcript without its terminal control codes.
type Line struct {
	At   time.Duration // when its last byte arrived, since the transcript's start
	Text string
}

// Transcript keeps what a program or a serial console says: as it came in a
// file, and as lines with their times for those who wait for one. It is an
// io.Writer, to be a command's Stdout or Stderr.
type Transcript struct {
	path  string
	start time.Time

	mu      sync.Mutex
	file    io.WriteCloser
	lines   lineReader
	skipped int           // lines that Wait no longer looks at
	changed chan struct{} // closed and replaced with every write
	ended   bool
}

// NewTranscript starts a transcript that appends to the file at path.
func NewTranscript(path string) (*Transcript, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start transcript: %w", err)
	}
	return &Transcript{path: path, start: time.Now(), file: file, changed: make(chan struct{})}, nil
}

// Path is the file that holds every byte as it came.
func (t *Transcript) Path() string { return t.path }

// Elapsed is the time since the transcript's start.
func (t *Transcript) Elapsed() time.Duration { return time.Since(t.start) }

// Write implements io.Writer.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines.read(p, time.Since(t.start))
	t.announce()
	return t.file.Write(p)
}

// Close ends the transcript: who waits for a line that did not come is told so.
func (t *Transcript) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	t.ended = true
	t.announce()
	return t.file.Close()
}

// Wait waits for a line that matches the regular expression and returns it. A
// line need not be complete to match. Lines are looked at from the start, or
// from the last Forget.
func (t *Transcript) Wait(ctx context.Context, pattern string) (Line, error) {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return Line{}, fmt.Errorf("wait for a line: %w", err)
	}
	for next := 0; ; {
		seen := t.after(next)
		for _, line := range seen.lines {
			if expression.MatchString(line.Text) {
				return line, nil
			}
		}
		next = seen.next
		if err := seen.wait(ctx); err != nil {
			return Line{}, fmt.Errorf("wait for %q in %s: %w; it ends with:\n%s", pattern, t.path, err, t.tail())
		}
	}
}

// Lines yields every line from the start on, each once it is complete, until the
// transcript or ctx ends.
func (t *Transcript) Lines(ctx context.Context) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for next := 0; ; {
			seen := t.complete(next)
			for _, line := range seen.lines {
				if !yield(line) {
					return
				}
			}
			next = seen.next
			if seen.wait(ctx) != nil {
				return
			}
		}
	}
}

// Forget makes Wait look only at what comes from now on.
func (t *Transcript) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines.flush()
	t.skipped = len(t.lines.done)
}

// view is what a transcript holds at one moment, from some line on.
type view struct {
	lines   []Line
	next    int // the first line that later views have to look at
	changed <-chan struct{}
	ended   bool
}

// wait returns when there is more to see, or why there never will be.
func (v view) wait(ctx context.Context) error {
	if v.ended {
		return io.EOF
	}
	select {
	case <-v.changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// complete shows the finished lines from next on.
func (t *Transcript) complete(next int) view {
	t.mu.Lock()
	defer t.mu.Unlock()
	return view{lines: t.lines.done[next:], next: len(t.lines.done), changed: t.changed, ended: t.ended}
}

// after shows the lines from next on, the unfinished last one too.
func (t *Transcript) after(next int) view {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := view{next: len(t.lines.done), changed: t.changed, ended: t.ended}
	v.lines = append(v.lines, t.lines.done[max(next, t.skipped):]...)
	if last, ok := t.lines.unfinished(); ok {
		v.lines = append(v.lines, last)
	}
	return v
}

func (t *Transcript) tail() string {
	const tailLines = 12
	var text strings.Builder
	lines := t.after(0).lines
	for _, line := range lines[max(0, len(lines)-tailLines):] {
		fmt.Fprintf(&text, "\t%6.1fs %s\n", line.At.Seconds(), line.Text)
	}
	return text.String()
}

// announce wakes everyone who waits; the caller holds mu.
func (t *Transcript) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}
