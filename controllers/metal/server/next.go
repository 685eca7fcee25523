package server

import (
	"fmt"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// Phase sums up a server's life for people. No code reads it.
type Phase string

// The phases.
const (
	// Registered is a server that nobody has accepted.
	Registered Phase = "Registered"
	// Waiting is one that has to be wiped, and has not begun.
	Waiting Phase = "Waiting"
	// Wiping is one whose agent tells that it wipes.
	Wiping Phase = "Wiping"
	// WipeFailed is one whose agent could not wipe it, and will try again.
	WipeFailed Phase = "WipeFailed"
	// Clean is one that can be allocated.
	Clean Phase = "Clean"
	// Cordoned is a clean one that is kept out of classes.
	Cordoned Phase = "Cordoned"
	// Booting is one that is allocated, and has no operating system yet.
	Booting Phase = "Booting"
	// InUse is one that is allocated and has an operating system.
	InUse Phase = "InUse"
	// Deleting is one that is deleted while it is allocated.
	Deleting Phase = "Deleting"
	// Duplicate is one that claims the identity of another.
	Duplicate Phase = "Duplicate"
	// Paused is one that is left alone until its pause ends.
	Paused Phase = "Paused"
)

// Phases are all of them, in the order of a server's life.
func Phases() []Phase {
	return []Phase{Registered, Waiting, Wiping, WipeFailed, Clean, Cordoned, Booting, InUse, Deleting, Duplicate, Paused}
}

// Action is something to do to a machine's power.
type Action string

// The actions. Those that start the machine make it boot from the network.
const (
	NoAction Action = ""
	TurnOff  Action = "off"
	TurnOn   Action = "on"
	// Restart takes a machine that is on into the network boot.
	Restart Action = "cycle"
)

const (
	// wipeRetries is how often within the reboot timeout a wipe that should have begun is looked at.
	wipeRetries = 3
	// failedAgain is how long after a failure the action is tried again. Upstream's number.
	failedAgain = 20 * time.Second
	// mostSkew is how far the clock of another appliance may be ahead.
	mostSkew = time.Minute
	// powerAgain is how often the power of a machine in use is checked. Upstream's number.
	powerAgain = 5 * time.Minute
)

// Facts are all that a decision goes by.
type Facts struct {
	Now time.Time

	Accepted  bool
	Deleting  bool
	Paused    bool
	Duplicate bool
	Cordoned  bool

	// IsClean is what the server's status says.
	IsClean bool
	// Bound and Installed are what its ServerBinding says: that there is one, and that Talos is installed.
	Bound     bool
	Installed bool
	// Anew tells that a person lets its machine have its configuration again, as after a reset of its disk.
	Anew bool

	// Asked is what a person has asked for, once.
	Asked Action

	// Power is the machine's, as its driver says; empty when it was not asked yet. Automatic tells that there is a driver
	// that needs no person, and Blind that it never knows the state.
	Power     power.State
	Automatic bool
	Blind     bool
	// TurnsOff tells that the driver turns the machine off without a person.
	TurnsOff bool
	// Problem tells why there is no driver, though there are settings for one; empty when that is not so.
	Problem string

	// Settling tells that the machine was switched, and may still need time to show that.
	Settling bool

	// Sent is when a blind driver was told something last, zero if it was not.
	Sent time.Time

	// Cycling is since when the PowerCycle condition has been False, zero when it is not. Heartbeat tells that an agent wrote
	// it, which wipes.
	Cycling   time.Time
	Heartbeat bool
	// WipeFailure tells why the last wipe that has ended did not succeed, and what to do; empty when there is no such.
	WipeFailure string
	// Unclear tells why nobody can say which disks are to be wiped; empty when it is clear.
	Unclear string
	// Rotates tells that the machine is to make another password on its BMC, which takes its agent.
	Rotates bool
	// RebootTimeout is how long a machine may take to come back.
	RebootTimeout time.Duration
}

// Decision is what a server's status becomes and what is done to its power.
type Decision struct {
	InUse, IsClean bool
	// Ready is Server.status.ready if the action succeeds, or if there is none.
	Ready bool
	// Released drops the finalizer; otherwise it is kept.
	Released bool
	Action   Action
	// Request tells that the action is the one that a person has asked for, and Refused why it is not done.
	Request bool
	Refused string
	// ByAgent tells that the machine's agent is asked for it.
	ByAgent bool
	// Plain tells that the machine need not boot from the network: it has an operating system.
	Plain bool
	// Marks makes the PowerCycle condition False with a new time after the action: the wipe has Facts.RebootTimeout to begin.
	Marks bool
	// Unknown tells that an action would be due, but nobody can say whether the machine is on.
	Unknown bool

	Phase   Phase
	Waiting string
	// Again is after how long the server is looked at again, zero when something has to change first.
	Again time.Duration
}

// Next decides what happens next to a server. It is upstream's life cycle (sidero-behaviour.md §2.2): an accepted server
// that is not in use is wiped once and then turned off; one in use is turned on; one that is not accepted is never touched.
func Next(f Facts) Decision {
	d := Decision{
		InUse: f.Bound, IsClean: f.IsClean && f.Accepted && !f.Bound,
		Released: f.Deleting && !f.Bound,
	}

	switch {
	case f.Duplicate:
		d.Phase, d.IsClean = Duplicate, false
		d.Waiting = "a person to tell which machine this is: another one claims the same identity"
	case d.Released:
		d.Phase = Deleting
	case !f.Accepted:
		d.Phase = Registered
		d.Waiting = "a person to accept it"
	case f.Paused:
		d.Phase, d.Waiting = Paused, "its pause to end"
	case f.Bound:
		d.use(f)
	case d.IsClean:
		d.rest(f)
	default:
		d.wipe(f)
	}

	d.ask(f)

	// The opposite of what it is still doing would confuse a BMC, and what it says of itself meanwhile.
	if f.Settling && d.Action != NoAction && !d.Request {
		d.Action, d.Marks, d.Plain, d.Ready = NoAction, false, false, false
		d.Waiting, d.Again = "the machine to do what it was told last", failedAgain
	}

	if f.Deleting && f.Bound {
		d.Phase, d.Waiting = Deleting, "the machine to be given back: it is in use; \"sidero-appliance release\" gives it back"
	}

	return d
}

// without is the decision, but that nothing is done now.
func (d Decision) without() Decision {
	d.Ready = d.Ready && d.Action == NoAction
	d.Action, d.Request, d.Marks, d.Refused, d.ByAgent = NoAction, false, false, "", false

	return d
}

// does tells whether two decisions do the same to the machine, and for the same end.
func (d Decision) does(other Decision) bool {
	return d.Action == other.Action && d.Request == other.Request && d.Plain == other.Plain && d.Marks == other.Marks
}

// ask does what a person has asked for, in place of what would be done.
func (d *Decision) ask(f Facts) {
	switch {
	case f.Asked == NoAction:
		return
	case d.Released:
		d.Refused = "the server is being deleted"
	case f.Asked != TurnOn && f.Asked != TurnOff && f.Asked != Restart:
		d.Refused = fmt.Sprintf("%q is none of on, off and cycle", f.Asked)
	case !f.Accepted:
		d.Refused = "the server is not accepted: nothing is done to it"
	case f.Duplicate:
		d.Refused = "nobody knows which machine this is"
	case f.Asked == TurnOff && !f.TurnsOff && f.Problem == "" && !f.Bound && !f.Paused:
		d.ByAgent, d.Action, d.Marks = true, NoAction, false
	case !f.Automatic && f.Problem != "":
		d.Refused = "its power cannot be controlled: " + f.Problem
	case !f.Automatic:
		d.Refused = "nothing controls its power: somebody has to go there"
	case f.Asked == Restart && f.Power == power.Off:
		d.Action, d.Request = TurnOn, true
	default:
		d.Action, d.Request = f.Asked, true
	}

	if d.Request {
		d.Plain = f.Installed && !f.Anew && d.Action != TurnOff
		d.Marks = d.Marks && d.Action != TurnOff
	}
}

// use keeps a machine in use turned on.
func (d *Decision) use(f Facts) {
	d.Phase, d.Ready, d.Again = Booting, true, powerAgain

	if f.Installed {
		d.Phase = InUse
	} else {
		d.Waiting = "Talos to be installed"
	}

	switch {
	case !f.Automatic && f.Installed:
	case !f.Automatic:
		d.Waiting = "a person to start the machine from the network, if it is not on, and Talos to be installed"
	case f.Power == power.Off:
		d.Action = TurnOn
	case f.Power == power.On, f.Blind && f.Installed:
	case f.Blind:
		d.repeat(f)
	default:
		d.unknown(f)
	}
}

// repeat tells a driver that sees nothing to turn the machine on, from time to time: it may be a switch that takes the power away when it is
// told again too soon.
func (d *Decision) repeat(f Facts) {
	d.Again = f.RebootTimeout / wipeRetries
	if left := d.Again - f.Now.Sub(f.Sent); !f.Sent.IsZero() && left > 0 {
		d.Again = left

		return
	}

	d.Action = TurnOn
}

// rest keeps a clean machine turned off, unless its agent has something to do.
func (d *Decision) rest(f Facts) {
	d.Phase, d.Ready = Clean, true
	if f.Cordoned {
		d.Phase = Cordoned
	}

	rotates := f.Rotates && f.Automatic && !f.Blind
	if rotates {
		d.Waiting = "the machine to make another password on its BMC"
	}

	switch {
	case rotates && f.Power == power.Off:
		d.Action = TurnOn
	case rotates && f.Power == power.On:
	case !f.Automatic, f.Blind, f.Power == power.Off:
	case f.Power == power.On:
		d.Action = TurnOff
	default:
		d.unknown(f)
	}
}

// wipe brings a machine into its agent, which wipes it.
func (d *Decision) wipe(f Facts) {
	d.Phase, d.Again = Waiting, f.RebootTimeout/wipeRetries
	if f.Unclear != "" {
		d.Waiting = "a person: " + f.Unclear

		return
	}

	if f.Heartbeat {
		d.Phase = Wiping
	}

	// A time in the future was written by a clock that was wrong.
	left := f.RebootTimeout - f.Now.Sub(f.Cycling)
	if left > 0 && left <= f.RebootTimeout+mostSkew {
		d.Waiting = fmt.Sprintf("the machine to boot from the network for its wipe; it is restarted after %s", f.RebootTimeout)
		if !f.Automatic { // the node that it was has restarted it
			d.Waiting = "the machine to boot from the network for its wipe; if it does not come, a person has to start it"
		}

		switch {
		case f.Heartbeat && f.WipeFailure != "":
			d.Phase, d.Waiting = WipeFailed, f.WipeFailure
		case f.Heartbeat:
			d.Waiting = "the wipe to end"
		}

		return
	}

	d.Phase = Waiting

	if !f.Automatic {
		d.Waiting = "a person to start the machine from the network, for its wipe"

		return
	}

	switch {
	case f.Power == power.On:
		d.Action, d.Marks = Restart, true
	case f.Power == power.Off, f.Blind:
		d.Action, d.Marks = TurnOn, true
	default:
		d.unknown(f)
	}

	if d.Marks {
		d.Waiting = "the machine to boot from the network for its wipe"
	}
}

// unknown is for a machine of which nobody can say whether it is on.
func (d *Decision) unknown(f Facts) {
	d.Waiting, d.Ready = "its power control to answer", false
	if f.Power != "" {
		d.Unknown, d.Again = true, failedAgain
	}
}
