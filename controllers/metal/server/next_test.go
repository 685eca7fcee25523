package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/power"
)

const timeout = 20 * time.Minute

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// fact changes the facts of a server that a BMC controls, which is accepted, not in use and not clean.
type fact func(*Facts)

func given(changes ...fact) Facts {
	f := Facts{Now: noon(), Accepted: true, Power: power.On, Automatic: true, TurnsOff: true, RebootTimeout: timeout}
	for _, change := range changes {
		change(&f)
	}

	return f
}

func notAccepted(f *Facts) { f.Accepted = false }
func deleting(f *Facts)    { f.Deleting = true }
func paused(f *Facts)      { f.Paused = true }
func duplicate(f *Facts)   { f.Duplicate = true }
func cordoned(f *Facts)    { f.Cordoned = true }
func failed(f *Facts)      { f.WipeFailure = "a person to replace disk sda" }
func unclear(f *Facts)     { f.Unclear = "classes contradict each other" }
func rotates(f *Facts)     { f.Rotates = true }
func clean(f *Facts)       { f.IsClean = true }
func bound(f *Facts)       { f.Bound = true }
func installed(f *Facts)   { f.Bound, f.Installed = true, true }
func off(f *Facts)         { f.Power = power.Off }
func unknown(f *Facts)     { f.Power = power.Unknown }
func notAsked(f *Facts)    { f.Power = "" }
func blind(f *Facts)       { f.Power, f.Blind = power.Unknown, true }
func byHand(f *Facts)      { f.Power, f.Automatic, f.TurnsOff = "", false, false }
func wakes(f *Facts)       { f.Power, f.Blind, f.TurnsOff = power.Unknown, true, false }
func misset(f *Facts)      { f.Problem = "no Secret" }

func sent(ago time.Duration) fact { return func(f *Facts) { f.Sent = f.Now.Add(-ago) } }

func asking(a Action) fact { return func(f *Facts) { f.Asked = a } }

func settling(f *Facts) { f.Settling = true }

func cycled(ago time.Duration) fact { return func(f *Facts) { f.Cycling = f.Now.Add(-ago) } }
func wiping(ago time.Duration) fact {
	return func(f *Facts) { f.Cycling, f.Heartbeat = f.Now.Add(-ago), true }
}

// TestNext has a row for each row of sidero-behaviour.md §2.2, and for what the appliance adds.
func TestNext(t *testing.T) {
	const third = timeout / 3

	for name, c := range map[string]struct {
		facts Facts
		want  Decision // without Waiting
	}{
		"A: not accepted":              {given(notAccepted), Decision{Phase: Registered}},
		"A: un-accepted":               {given(notAccepted, clean), Decision{Phase: Registered}},
		"A: un-accepted while in use":  {given(notAccepted, bound), Decision{InUse: true, Phase: Registered}},
		"A: off":                       {given(notAccepted, off), Decision{Phase: Registered}},
		"B: clean and on":              {given(clean), Decision{IsClean: true, Ready: true, Action: TurnOff, Phase: Clean}},
		"B: another password, off":     {given(clean, rotates, off), Decision{IsClean: true, Ready: true, Action: TurnOn, Phase: Clean}},
		"B: another password, on":      {given(clean, rotates), Decision{IsClean: true, Ready: true, Phase: Clean}},
		"B: another password, by hand": {given(clean, rotates, byHand), Decision{IsClean: true, Ready: true, Phase: Clean}},
		"B: clean and cordoned":        {given(clean, cordoned, off), Decision{IsClean: true, Ready: true, Phase: Cordoned}},
		"B: clean and off":             {given(clean, off), Decision{IsClean: true, Ready: true, Phase: Clean}},
		"B: clean, nobody knows":       {given(clean, unknown), Decision{IsClean: true, Unknown: true, Phase: Clean, Again: failedAgain}},
		"B: clean, not asked yet":      {given(clean, notAsked), Decision{IsClean: true, Phase: Clean}},
		"B: clean, by hand":            {given(clean, byHand), Decision{IsClean: true, Ready: true, Phase: Clean}},
		"B: clean, blind":              {given(clean, blind), Decision{IsClean: true, Ready: true, Phase: Clean}},
		"C: allocated and off":         {given(bound, clean, off), Decision{InUse: true, Ready: true, Action: TurnOn, Phase: Booting, Again: powerAgain}},
		"C: another password, in use":  {given(bound, rotates), Decision{InUse: true, Ready: true, Phase: Booting, Again: powerAgain}},
		"C: allocated and on":          {given(bound), Decision{InUse: true, Ready: true, Phase: Booting, Again: powerAgain}},
		"C: installed and on":          {given(installed), Decision{InUse: true, Ready: true, Phase: InUse, Again: powerAgain}},
		"C: installed and off":         {given(installed, off), Decision{InUse: true, Ready: true, Action: TurnOn, Phase: InUse, Again: powerAgain}},
		"C: nobody knows":              {given(bound, unknown), Decision{InUse: true, Unknown: true, Phase: Booting, Again: failedAgain}},
		"C: not asked yet":             {given(bound, notAsked), Decision{InUse: true, Phase: Booting, Again: powerAgain}},
		"C: by hand":                   {given(bound, byHand), Decision{InUse: true, Ready: true, Phase: Booting, Again: powerAgain}},
		"C: blind":                     {given(bound, blind), Decision{InUse: true, Ready: true, Action: TurnOn, Phase: Booting, Again: third}},
		"C: blind, told":               {given(bound, blind, sent(time.Minute)), Decision{InUse: true, Ready: true, Phase: Booting, Again: third - time.Minute}},
		"C: blind, told long ago":      {given(bound, blind, sent(third)), Decision{InUse: true, Ready: true, Action: TurnOn, Phase: Booting, Again: third}},
		"C: blind, installed":          {given(installed, blind), Decision{InUse: true, Ready: true, Phase: InUse, Again: powerAgain}},
		"D: dirty and on":              {given(), Decision{Action: Restart, Marks: true, Phase: Waiting, Again: third}},
		"D: dirty and off":             {given(off), Decision{Action: TurnOn, Marks: true, Phase: Waiting, Again: third}},
		"D: dirty, nobody knows":       {given(unknown), Decision{Unknown: true, Phase: Waiting, Again: failedAgain}},
		"D: dirty, not asked yet":      {given(notAsked), Decision{Phase: Waiting, Again: third}},
		"D: dirty, by hand":            {given(byHand), Decision{Phase: Waiting, Again: third}},
		"D: dirty, blind":              {given(blind), Decision{Action: TurnOn, Marks: true, Phase: Waiting, Again: third}},
		"D: cycled a moment ago":       {given(cycled(time.Minute)), Decision{Phase: Waiting, Again: third}},
		"D: cycled by its node":        {given(cycled(time.Minute), byHand), Decision{Phase: Waiting, Again: third}},
		"D: cycled by it, not back":    {given(cycled(timeout), byHand), Decision{Phase: Waiting, Again: third}},
		"D: cycled, off":               {given(cycled(time.Minute), off), Decision{Phase: Waiting, Again: third}},
		"D: cycled too long ago":       {given(cycled(timeout)), Decision{Action: Restart, Marks: true, Phase: Waiting, Again: third}},
		"D: cycled in the future":      {given(cycled(-time.Hour)), Decision{Action: Restart, Marks: true, Phase: Waiting, Again: third}},
		"D: cycled, clocks differ":     {given(cycled(-mostSkew)), Decision{Phase: Waiting, Again: third}},
		"D: wiping in the future":      {given(wiping(-time.Hour)), Decision{Action: Restart, Marks: true, Phase: Waiting, Again: third}},
		"B: clean, turns on":           {given(clean, settling), Decision{IsClean: true, Phase: Clean, Again: failedAgain}},
		"B: clean, turns off":          {given(clean, off, settling), Decision{IsClean: true, Ready: true, Phase: Clean}},
		"C: allocated, turns off":      {given(bound, off, settling), Decision{InUse: true, Phase: Booting, Again: failedAgain}},
		"C: allocated, turns on":       {given(bound, settling), Decision{InUse: true, Ready: true, Phase: Booting, Again: powerAgain}},
		"D: dirty, turns off":          {given(off, settling), Decision{Phase: Waiting, Again: failedAgain}},
		"D: turns off, asked for on":   {given(off, settling, asking(TurnOn)), Decision{Action: TurnOn, Request: true, Marks: true, Phase: Waiting, Again: third}},
		"D: wiping":                    {given(wiping(time.Minute)), Decision{Phase: Wiping, Again: third}},
		"D: wiping, by hand":           {given(wiping(time.Minute), byHand), Decision{Phase: Wiping, Again: third}},
		"D: nobody knows what to wipe": {given(unclear), Decision{Phase: Waiting, Again: third}},
		"D: and it wipes":              {given(wiping(time.Minute), unclear), Decision{Phase: Waiting, Again: third}},
		"D: failed, tried again":       {given(wiping(time.Minute), failed), Decision{Phase: WipeFailed, Again: third}},
		"D: failed once, cycled":       {given(cycled(time.Minute), failed), Decision{Phase: Waiting, Again: third}},
		"D: failed, agent is gone":     {given(wiping(timeout), failed), Decision{Action: Restart, Marks: true, Phase: Waiting, Again: third}},
		"D: no heartbeat for too long": {given(wiping(timeout)), Decision{Action: Restart, Marks: true, Phase: Waiting, Again: third}},
		"deleted":                      {given(deleting), Decision{Released: true, Phase: Deleting}},
		"deleted, asked":               {given(deleting, asking(TurnOn)), Decision{Released: true, Refused: "the server is being deleted", Phase: Deleting}},
		"deleted, clean":               {given(deleting, clean), Decision{Released: true, IsClean: true, Phase: Deleting}},
		"deleted, not accepted":        {given(deleting, notAccepted), Decision{Released: true, Phase: Deleting}},
		"deleted in use":               {given(deleting, bound, off), Decision{InUse: true, Ready: true, Action: TurnOn, Phase: Deleting, Again: powerAgain}},
		"deleted while paused":         {given(deleting, paused), Decision{Released: true, Phase: Deleting}},
		"paused and dirty":             {given(paused), Decision{Phase: Paused}},
		"paused, another password":     {given(paused, clean, rotates, off), Decision{IsClean: true, Phase: Paused}},
		"paused and clean":             {given(paused, clean), Decision{IsClean: true, Phase: Paused}},
		"paused and in use":            {given(paused, bound, off), Decision{InUse: true, Phase: Paused}},
		"asked for off": {given(installed, asking(TurnOff)), Decision{
			InUse: true, Ready: true, Action: TurnOff, Request: true, Phase: InUse, Again: powerAgain,
		}},
		"asked for a restart": {given(installed, asking(Restart)), Decision{
			InUse: true, Ready: true, Action: Restart, Request: true, Plain: true, Phase: InUse, Again: powerAgain,
		}},
		"asked for a restart, to have its configuration again": {given(installed, func(f *Facts) { f.Anew = true }, asking(Restart)), Decision{
			InUse: true, Ready: true, Action: Restart, Request: true, Phase: InUse, Again: powerAgain,
		}},
		"asked for a restart, off": {given(clean, off, asking(Restart)), Decision{IsClean: true, Ready: true, Action: TurnOn, Request: true, Phase: Clean}},
		"asked while paused":       {given(paused, asking(TurnOn)), Decision{Action: TurnOn, Request: true, Phase: Paused}},
		"asked for nonsense": {given(installed, asking("reboot")), Decision{
			InUse: true, Ready: true, Phase: InUse, Again: powerAgain, Refused: `"reboot" is none of on, off and cycle`,
		}},
		"asked, not accepted": {given(notAccepted, asking(TurnOff)), Decision{
			Phase: Registered, Refused: "the server is not accepted: nothing is done to it",
		}},
		"asked, by hand": {given(clean, byHand, asking(TurnOn)), Decision{
			IsClean: true, Ready: true, Phase: Clean, Refused: "nothing controls its power: somebody has to go there",
		}},
		"asked for off, by hand": {given(clean, byHand, asking(TurnOff)), Decision{IsClean: true, Ready: true, Phase: Clean, ByAgent: true}},
		"asked for off, wakes":   {given(wakes, asking(TurnOff)), Decision{Phase: Waiting, Again: third, ByAgent: true}},
		"asked for off, by hand, in use": {given(installed, byHand, asking(TurnOff)), Decision{
			InUse: true, Ready: true, Phase: InUse, Again: powerAgain, Refused: "nothing controls its power: somebody has to go there",
		}},
		"asked for off, by hand, paused": {given(paused, byHand, asking(TurnOff)), Decision{
			Phase: Paused, Refused: "nothing controls its power: somebody has to go there",
		}},
		"asked for off, settings are wrong": {given(clean, byHand, misset, asking(TurnOff)), Decision{
			IsClean: true, Ready: true, Phase: Clean, Refused: "its power cannot be controlled: no Secret",
		}},
		"duplicate": {given(duplicate, clean), Decision{Phase: Duplicate}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Next(c.facts)
			got.Waiting = ""

			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRestartedByItsNode: of a machine that nobody but its own node could restart, people are told what comes of that.
func TestRestartedByItsNode(t *testing.T) {
	for ago, want := range map[time.Duration]string{
		time.Minute: "the machine to boot from the network for its wipe; if it does not come, a person has to start it",
		timeout:     "a person to start the machine from the network, for its wipe",
	} {
		if got := Next(given(cycled(ago), byHand)).Waiting; got != want {
			t.Errorf("after %s it waits for %s, want %s", ago, got, want)
		}
	}
}

// TestNothingUnsafe goes through all combinations of facts: whatever else is so, safety invariants 1 and 2 hold.
func TestNothingUnsafe(t *testing.T) {
	each(func(f Facts) {
		d := Next(f)
		name := fmt.Sprintf("%+v: %+v", f, d)

		if d.Action != NoAction && (!f.Accepted || f.Duplicate || f.Paused && !d.Request || !f.Automatic) {
			t.Fatalf("switches the power of a server that it must not touch: %s", name)
		}

		if f.Bound && (!d.Request && (d.Action == TurnOff || d.Action == Restart) || d.Marks || d.IsClean || d.Released) {
			t.Fatalf("does that to a server in use: %s", name)
		}

		if !d.Request && (d.Action == Restart || d.Action == TurnOff) && f.Power != power.On {
			t.Fatalf("takes power that may not be there: %s", name)
		}

		if d.ByAgent && (!f.Accepted || f.Duplicate || f.Paused || f.Bound || f.Deleting || d.Action != NoAction || d.Marks) {
			t.Fatalf("has an agent turn a machine off that it must not touch, or switches it too: %s", name)
		}

		if d.Marks && f.Unclear != "" {
			t.Fatalf("starts a wipe of nobody knows which disks: %s", name)
		}

		if d.IsClean && !f.IsClean {
			t.Fatalf("calls a server clean that nobody has wiped: %s", name)
		}

		if d.Action != NoAction && !d.Request && f.Bound && f.Power == power.On {
			t.Fatalf("switches a server in use that is on: %s", name)
		}

		if d.Ready && !f.Accepted {
			t.Fatalf("calls a server ready that is not accepted: %s", name)
		}

		if d.Phase == "" || !d.Ready && !d.Released && d.Waiting == "" {
			t.Fatalf("does not say what it waits for: %s", name)
		}
	})
}

// each calls visit with every combination of facts.
func each(visit func(Facts)) {
	const flags = 15

	for _, asked := range []Action{NoAction, TurnOn, TurnOff, Restart, "reboot"} {
		combine(flags, func(f Facts) {
			f.Asked = asked
			visit(f)
		})
	}
}

func combine(flags int, visit func(Facts)) {
	for bits := range 1 << flags {
		bit := func(n int) bool { return bits>>n&1 == 1 }

		for _, state := range []power.State{power.On, power.Off, power.Unknown, ""} {
			for _, cycling := range []time.Time{{}, noon().Add(-time.Minute), noon().Add(-time.Hour)} {
				visit(Facts{
					Now: noon(), Accepted: bit(0), Deleting: bit(1), Paused: bit(2), Duplicate: bit(3), IsClean: bit(5),
					Bound: bit(6), Installed: bit(6) && bit(7), Automatic: bit(8), TurnsOff: bit(8) && bit(14), Blind: bit(9) && state == power.Unknown,
					Cordoned: bit(10), WipeFailure: map[bool]string{true: "a person: a disk is broken"}[bit(11)],
					Unclear: map[bool]string{true: "classes contradict each other"}[bit(12)], Rotates: bit(13),
					Power: state, Cycling: cycling, Heartbeat: bit(7) && !cycling.IsZero(), RebootTimeout: timeout,
				})
			}
		}
	}
}
