package appliance

import "runtime/debug"

// How much garbage may gather before it is collected, in per cent of what is
// alive. The start makes much garbage in short time, so it collects less; an
// idle appliance makes little, so collecting early costs next to nothing and
// keeps its memory small. docs/architecture.md has the figures.
const (
	garbageAtStart = 400
	garbageAtRest  = 50
)

// hurry favours speed over memory, for the start.
func hurry() { debug.SetGCPercent(garbageAtStart) }

// settle favours memory over speed, and returns what the start left behind.
func settle() {
	debug.SetGCPercent(garbageAtRest)
	debug.FreeOSMemory()
}
