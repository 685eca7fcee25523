// Package installation is what is written at the Machine of a machine that was told to install a release of Talos in place. Such a
// machine restarts, and does not answer meanwhile: who would switch it asks here first.
package installation

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// Annotation is at the Machine, with a Try.
	Annotation = "controlplane.sidero.dev/installs-talos"
	// Within is how long a machine has for a release of Talos, with the restart and all that firmware does.
	Within = 10 * time.Minute
)

// Try is to have a machine install a release of Talos. The zero value is none.
type Try struct {
	// To is the release.
	To string
	// Times is how often the machine has been told, with this one.
	Times int
	// At is when it was told last.
	At time.Time
}

// Parse reads what is written at a Machine. What cannot be read is none.
func Parse(text string) Try {
	fields := strings.Fields(text)
	if len(fields) != 3 { //nolint:mnd // as String writes
		return Try{}
	}

	times, err := strconv.Atoi(fields[1])
	if err != nil {
		return Try{}
	}

	at, err := time.Parse(time.RFC3339, fields[2])
	if err != nil {
		return Try{}
	}

	return Try{To: fields[0], Times: times, At: at}
}

// String is what is written at a Machine.
func (t Try) String() string {
	return fmt.Sprintf("%s %d %s", t.To, t.Times, t.At.UTC().Format(time.RFC3339))
}

// Left is how long it may still be going on; 0 when it cannot be. It is never more than Within, so that a clock that was set back is
// looked at again in time.
func (t Try) Left(now time.Time) time.Duration {
	if t.To == "" {
		return 0
	}

	return max(0, min(t.At.Add(Within).Sub(now), Within))
}

// Pending tells whether it may still be going on.
func (t Try) Pending(now time.Time) bool { return t.Left(now) > 0 }
