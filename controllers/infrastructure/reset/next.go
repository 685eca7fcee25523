// Package reset has the node of a machine that is deleted wipe its system disk and restart, by the node's own API, where nothing
// controls the power of its server: nobody else would have that boot from the network, into the agent that wipes the rest. While
// this is tried the machine keeps its ServerBinding, so nobody else can have the server. What to do is decided by Next.
package reset

import (
	"fmt"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

const (
	// patience is how long a machine that is deleted waits for its node: long enough for one that a person starts again, and short
	// enough that a cluster whose machines are gone is deleted while somebody looks on.
	patience = 5 * time.Minute
	// triesAgainAfter is how soon a node is asked again.
	triesAgainAfter = 10 * time.Second
	// mostSkew is how far a clock may have been set back.
	mostSkew = time.Minute
)

// Outcome is what came of a try to have a node obey.
type Outcome int

// The outcomes.
const (
	// NotTried is that of a node that was not asked yet.
	NotTried Outcome = iota
	// Silent is that of a node that does not answer, or not as one of its cluster.
	Silent
	// Answers is that of a node that was not told anything yet.
	Answers
	// Unclear is that of a node that was told, and did not answer any more.
	Unclear
	// Refuses is that of a node that neither wipes its disk nor restarts.
	Refuses
	// Obeys is that of a node that does as it was told.
	Obeys
)

// Facts are what is decided by.
type Facts struct {
	Now time.Time
	// Since is when the machine was deleted.
	Since time.Time
	// Server is the name of its server, and Addresses are where its node may be.
	Server    string
	Addresses []string

	// Accepted, Duplicate and Paused are the server's. One that is gone is not accepted.
	Accepted, Duplicate, Paused bool
	// Controlled tells that the server is taken into its wipe by its power control.
	Controlled bool
	// Spared tells that not all disks of the server are to be wiped, or that nobody can say which.
	Spared bool

	// Configured tells that the machine has had its configuration since it has the server, and so may run as a node.
	Configured bool
	// Secrets tells that those of its cluster are there: by them the node obeys.
	Secrets bool
	// Told tells that it is written down that the node is told.
	Told bool
	Node Outcome
	// Refusal is what a node says that refuses.
	Refusal string
}

// Action is what to do.
type Action int

// The actions.
const (
	// GiveBack is to give the server back as it is.
	GiveBack Action = iota
	// Wait is to look again after some time.
	Wait
	// Ask is to see whether the node answers.
	Ask
	// Reset is to have the node wipe its system disk and restart.
	Reset
	// Reboot is to have it restart only.
	Reboot
)

// Decision is what is done, and what a person is told of it: nothing when the message is empty.
type Decision struct {
	Action          Action
	Reason, Message string
	// After is how soon it is looked at again.
	After time.Duration
	// Restarts tells that the node obeys, or has obeyed.
	Restarts bool
}

// Next decides what is done about the node of a machine that is deleted. It ends: with the node's obedience, with the time that it is
// waited for, or when somebody takes the server back meanwhile. Only the pause of a server, which a person ends, has no end of its own.
func Next(f Facts) Decision {
	switch {
	case !f.Accepted || f.Duplicate: // nothing is done to such a machine
		return Decision{}
	case f.Controlled, !f.Configured:
		return Decision{}
	case f.Node == Obeys, f.Node == Silent && f.Told:
		return Decision{Restarts: true}
	case f.Paused:
		return f.await(v1alpha3.ReasonServerPaused, fmt.Sprintf("waits for the pause of server %s to end", f.Server))
	case !f.Secrets:
		return f.giveUp("the secrets of its cluster are gone, by which it would obey")
	}

	switch f.Node {
	case NotTried:
		return Decision{Action: Ask}
	case Answers:
		return f.tell()
	case Unclear:
		if f.overdue() {
			return f.giveUp("it does not tell whether it restarts")
		}

		return f.await(v1alpha3.ReasonNodeResets, f.told())
	case Silent:
		return f.wait(f.silence())
	default:
		return f.wait("it refuses to restart: " + f.Refusal)
	}
}

// tell has a node restart, and wipe what would have it start from its disk again, unless disks are to be spared.
func (f Facts) tell() Decision {
	action := Reset
	if f.Spared {
		action = Reboot
	}

	return Decision{Action: action, Reason: v1alpha3.ReasonNodeResets, Message: f.told()}
}

func (f Facts) told() string {
	if f.Spared {
		return fmt.Sprintf("the node of server %s is told to restart, for the wipe of the server", f.Server)
	}

	return fmt.Sprintf("the node of server %s is told to wipe its system disk and to restart, for the wipe of the server", f.Server)
}

// wait is for a person who can help, for some time.
func (f Facts) wait(why string) Decision {
	if f.overdue() {
		return f.giveUp(why)
	}

	end := f.Since.Add(patience)
	d := f.await(v1alpha3.ReasonWaitingForPerson, fmt.Sprintf(
		"nothing controls the power of server %[1]s, whose node is to restart for the wipe of the server, and %[2]s: power-cycle it, or take it "+
			"back with \"sidero-appliance release %[1]s\"; at %[3]s it is given back as it is", f.Server, why, end.UTC().Format(time.TimeOnly+" MST"),
	))
	d.After = min(d.After, end.Sub(f.Now))

	return d
}

func (f Facts) await(reason, message string) Decision {
	return Decision{Action: Wait, Reason: reason, Message: message, After: triesAgainAfter}
}

// overdue tells whether a node was waited for long enough.
func (f Facts) overdue() bool {
	waited := f.Now.Sub(f.Since)

	return waited >= patience || waited < -mostSkew
}

// giveUp gives the server back, and tells what is left to do.
func (f Facts) giveUp(why string) Decision {
	return Decision{Action: GiveBack, Reason: v1alpha3.ReasonWaitingForPerson, Message: fmt.Sprintf(
		"given back as it is: nothing controls its power, and its node may run on, because %s: power-cycle it so that it boots from the network, "+
			"for its wipe", why,
	)}
}

func (f Facts) silence() string {
	if len(f.Addresses) == 0 {
		return "nobody knows its address"
	}

	return "it does not answer at " + strings.Join(f.Addresses, ", ")
}
