package tftp

import (
	"net/netip"
	"time"
)

// Outcome says what became of a request. The values are stable: they are
// metric labels.
type Outcome string

// Outcomes of requests.
const (
	Completed  Outcome = "completed"
	Aborted    Outcome = "aborted"   // by the client; UEFI does it once per file
	TimedOut   Outcome = "timed-out" // the client fell silent
	Replaced   Outcome = "replaced"  // by another request from the same port
	Stopped    Outcome = "stopped"   // the server ended in the middle of it
	NotFound   Outcome = "not-found"
	Refused    Outcome = "write-refused"
	Malformed  Outcome = "malformed-request"
	BadName    Outcome = "bad-name"
	BadMode    Outcome = "bad-mode"
	Failed     Outcome = "failed"     // the file could not be opened or read
	Overloaded Outcome = "overloaded" // too many transfers, of all or of this client; it will ask again
	Stopping   Outcome = "stopping"   // asked while the server ends; the next one will be asked again
	Stray      Outcome = "stray"      // a packet of no transfer; not answered
	NotServed  Outcome = "not-served" // through an interface that is not served, or to everybody; not answered
)

// Outcomes lists every Outcome.
func Outcomes() []Outcome {
	return []Outcome{
		Completed, Aborted, TimedOut, Replaced, Stopped, NotFound, Refused,
		Malformed, BadName, BadMode, Failed, Overloaded, Stopping, Stray, NotServed,
	}
}

// Event tells an observer how a request ended.
type Event struct {
	Outcome       Outcome
	Local         netip.Addr
	Remote        netip.AddrPort
	File          string        // its clean name; "" for malformed requests
	Bytes         int64         // acknowledged by the client
	Duration      time.Duration // from the request on
	BlockSize     int           // agreed on, bytes; 0 where it did not come to that
	Window        int           // agreed on, blocks
	Retransmitted int           // packets sent again because nothing came back
	Script        bool          // the script was sent under the file's name: see Chain
	Err           error         // for failures and malformed requests
}
