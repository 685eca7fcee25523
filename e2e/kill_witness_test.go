//go:build e2e

package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
)

// check holds everything to what the machines have written down.
func (r *roundabout) check(ctx context.Context, t *testing.T) {
	t.Helper()

	for _, b := range r.bystanders {
		b.check(t)
	}

	uses, refusals, wipes, repeats, cuts := 0, 0, 0, 0, 0

	for _, c := range r.cyclists {
		eventually(ctx, t, func() error { return c.isFree(ctx) })
		c.check(t)

		uses += len(c.uses)
		refusals += len(c.refusals)
		wipes += len(c.Wipes())
		repeats += c.checkRepeats(t, r.kills)
		cuts += c.cuts()
	}

	t.Logf("%d kills; %d times in use, %d times not accepted any more; %d wipes, of which %d are repeats; %d times without power by the BMC",
		len(r.kills), uses, refusals, wipes, repeats, cuts)

	if uses == 0 || wipes == 0 {
		t.Error("no machine has gone around")
	}
}

// check: invariant 1.
func (b *bystander) check(t *testing.T) {
	t.Helper()

	if digest, err := b.Digest(); err != nil || digest != b.digest {
		t.Errorf("nobody has accepted %s, and its disk was changed: %v", b.Name, err)
	}

	if commands := b.Commands(); len(commands) > 0 {
		t.Errorf("nobody has accepted %s, and its BMC was told %v", b.Name, commands)
	}

	if wipes := b.Wipes(); len(wipes) > 0 {
		t.Errorf("nobody has accepted %s, and it was told to wipe: %v", b.Name, wipes)
	}
}

// cuts is how often the machine's BMC was told to take its power away, be it for a moment.
func (c *cyclist) cuts() int {
	n := 0

	for _, command := range c.Commands() {
		if takesPower(command) {
			n++
		}
	}

	return n
}

func takesPower(command simulator.Entry) bool {
	return command.Command == "Chassis Control" && command.Data[0] != powerUp
}

// powerUp is what a Chassis Control may ask of a machine in use (IPMI v2.0 table 28-4).
const powerUp = 1

// check: invariant 2, and that a machine which is called clean at the end is so.
func (c *cyclist) check(t *testing.T) {
	t.Helper()

	for _, what := range c.spoilt {
		t.Errorf("%s: %s", c.Name, what)
	}

	for _, u := range c.uses {
		for _, w := range c.Wipes() {
			if w.Began.Before(u.to) && w.Ended.After(u.from) {
				t.Errorf("%s was in use %s, and wiped: %+v", c.Name, u, w)
			}
		}

		for _, command := range c.Commands() {
			if takesPower(command) && command.At.After(u.from) && command.At.Before(u.to) {
				t.Errorf("%s was in use %s, and its BMC was told %v", c.Name, u, command)
			}
		}
	}

	c.checkRefusals(t)

	if blank, err := c.Blank(); err != nil || !blank {
		t.Errorf("%s is called clean, and its disk is not: %v", c.Name, err)
	}
}

// checkRefusals: invariant 1, for a machine that was accepted before.
func (c *cyclist) checkRefusals(t *testing.T) {
	t.Helper()

	for _, r := range c.refusals {
		for _, w := range c.Wipes() {
			if w.Began.Before(r.to) && w.Ended.After(r.from) {
				t.Errorf("%s was not accepted %s, and wiped: %+v", c.Name, r, w)
			}
		}

		for _, command := range c.Commands() {
			if command.At.After(r.from) && command.At.Before(r.to) {
				t.Errorf("%s was not accepted %s, and its BMC was told %v", c.Name, r, command)
			}
		}
	}
}

// checkRepeats: invariant 3. A machine is wiped once each time that it is accepted, or given back; again only if the appliance
// had not confirmed that it knows of the end, and was killed meanwhile. It returns how often that was.
func (c *cyclist) checkRepeats(t *testing.T, kills []time.Time) int {
	t.Helper()

	wipes := c.Wipes()
	repeats := 0

	for n := 1; n < len(wipes); n++ {
		before, now := wipes[n-1], wipes[n]
		if between(c.uses, before, now) || between(c.refusals, before, now) {
			continue
		}

		repeats++

		if !before.Recorded.IsZero() {
			t.Errorf("%s was wiped again without having been in use: %+v, then %+v", c.Name, before, now)
		} else if !killedBetween(kills, before.Began, now.Began) && !c.restartedDuring(before) {
			t.Errorf("%s was wiped again for no reason: %+v, then %+v", c.Name, before, now)
		}
	}

	return repeats
}

// between tells whether a span ended between the beginnings of two wipes.
func between(spans []span, before, now simulated.Wipe) bool {
	for _, u := range spans {
		if u.to.After(before.Began) && u.to.Before(now.Began) {
			return true
		}
	}

	return false
}

func killedBetween(kills []time.Time, from, to time.Time) bool {
	for _, kill := range kills {
		if kill.After(from) && kill.Before(to) {
			return true
		}
	}

	return false
}

// restartedDuring tells that a wipe was cut short by the restart that was to begin it: an agent that runs already begins as soon
// as the machine is accepted.
func (c *cyclist) restartedDuring(w simulated.Wipe) bool {
	for _, command := range c.Commands() {
		if command.Command == "Chassis Control" && !w.Complete && !command.At.Before(w.Began) && !command.At.After(w.Ended) {
			return true
		}
	}

	return false
}
