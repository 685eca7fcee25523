package reset

import (
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

var now = time.Unix(1_800_000_000, 0)

// running are the facts of a machine whose node is to obey, changed.
func running(change func(*Facts)) Facts {
	f := Facts{
		Now: now, Since: now.Add(-time.Minute), Server: "s", Addresses: []string{"10.0.0.7", "10.0.0.8"},
		Accepted: true, Configured: true, Secrets: true,
	}
	change(&f)

	return f
}

func TestNext(t *testing.T) {
	const person, resets = v1alpha3.ReasonWaitingForPerson, v1alpha3.ReasonNodeResets

	for name, c := range map[string]struct {
		change  func(*Facts)
		action  Action
		reason  string
		message string
		after   time.Duration
	}{
		"runs":               {func(*Facts) {}, Ask, "", "", 0},
		"answers":            {func(f *Facts) { f.Node = Answers }, Reset, resets, "node of server s is told to wipe its system disk", 0},
		"answers still":      {func(f *Facts) { f.Node, f.Told = Answers, true }, Reset, resets, "wipe its system disk", 0},
		"disks are kept":     {func(f *Facts) { f.Node, f.Spared = Answers, true }, Reboot, resets, "node of server s is told to restart", 0},
		"obeys":              {func(f *Facts) { f.Node = Obeys }, GiveBack, "", "", 0},
		"was told":           {func(f *Facts) { f.Node, f.Told = Unclear, true }, Wait, resets, "is told to wipe", triesAgainAfter},
		"never told clearly": {func(f *Facts) { f.Node, f.Told, f.Since = Unclear, true, now.Add(-patience) }, GiveBack, person, "does not tell whether", 0},
		"went down":          {func(f *Facts) { f.Node, f.Told = Silent, true }, GiveBack, "", "", 0},
		"may have to ask":    {func(f *Facts) { f.Told = true }, Ask, "", "", 0},

		"silent": {func(f *Facts) { f.Node = Silent }, Wait, person,
			"does not answer at 10.0.0.7, 10.0.0.8: power-cycle it, or take it back with \"sidero-appliance release s\"; at 08:04:00 UTC", triesAgainAfter},
		"nowhere":     {func(f *Facts) { f.Node, f.Addresses = Silent, nil }, Wait, person, "nobody knows its address: power-cycle it", triesAgainAfter},
		"refuses":     {func(f *Facts) { f.Node, f.Refusal = Refuses, "not now" }, Wait, person, "refuses to restart: not now: power-cycle it", triesAgainAfter},
		"nearly over": {func(f *Facts) { f.Node, f.Since = Silent, now.Add(time.Second-patience) }, Wait, person, "power-cycle it", time.Second},
		"over": {func(f *Facts) { f.Node, f.Since = Silent, now.Add(-patience) }, GiveBack, person,
			"given back as it is: nothing controls its power, and its node may run on, because it does not answer", 0},
		"refused to the end":            {func(f *Facts) { f.Node, f.Refusal, f.Since = Refuses, "not now", now.Add(-patience) }, GiveBack, person, "not now", 0},
		"clock set back":                {func(f *Facts) { f.Node, f.Since = Silent, now.Add(time.Hour) }, GiveBack, person, "given back as it is", 0},
		"late, and answers":             {func(f *Facts) { f.Node, f.Since = Answers, now.Add(-time.Hour) }, Reset, resets, "is told", 0},
		"late":                          {func(f *Facts) { f.Since = now.Add(-time.Hour) }, Ask, "", "", 0},
		"secrets are gone":              {func(f *Facts) { f.Secrets = false }, GiveBack, person, "the secrets of its cluster are gone", 0},
		"never configured":              {func(f *Facts) { f.Configured = false }, GiveBack, "", "", 0},
		"power control":                 {func(f *Facts) { f.Controlled = true }, GiveBack, "", "", 0},
		"paused":                        {func(f *Facts) { f.Paused, f.Node = true, Answers }, Wait, v1alpha3.ReasonServerPaused, "pause of server s", triesAgainAfter},
		"paused, and not to be touched": {func(f *Facts) { f.Paused, f.Accepted = true, false }, GiveBack, "", "", 0},
	} {
		got := Next(running(c.change))
		if got.Action != c.action || got.Reason != c.reason || got.After != c.after || !strings.Contains(got.Message, c.message) {
			t.Errorf("%s: %+v, want %v %s %q after %v", name, got, c.action, c.reason, c.message, c.after)
		}
	}
}

// TestNothingUnsafe goes through all combinations of facts: nothing is done to a machine that nobody has accepted, or that may be another one, or
// whose disks are to be spared; and each wait ends.
func TestNothingUnsafe(t *testing.T) {
	flags := []func(*Facts) *bool{
		func(f *Facts) *bool { return &f.Accepted }, func(f *Facts) *bool { return &f.Duplicate }, func(f *Facts) *bool { return &f.Paused },
		func(f *Facts) *bool { return &f.Controlled }, func(f *Facts) *bool { return &f.Spared }, func(f *Facts) *bool { return &f.Configured },
		func(f *Facts) *bool { return &f.Secrets }, func(f *Facts) *bool { return &f.Told },
	}

	for bits := range 1 << len(flags) {
		for node := NotTried; node <= Obeys; node++ {
			for _, age := range []time.Duration{-time.Hour, 0, patience - 1, patience, time.Hour} {
				f := Facts{Now: now, Since: now.Add(-age), Server: "s", Node: node}
				for i, flag := range flags {
					*flag(&f) = bits&(1<<i) != 0
				}

				check(t, f, Next(f))
			}
		}
	}
}

func check(t *testing.T, f Facts, d Decision) {
	t.Helper()

	acts := d.Action == Reset || d.Action == Reboot
	down := f.Node == Obeys || f.Node == Silent && f.Told

	switch {
	case acts && (!f.Accepted || f.Duplicate || f.Paused || f.Controlled || !f.Configured || f.Node != Answers):
		t.Fatalf("%+v: must not be touched: %+v", f, d)
	case d.Restarts && (!down || d.Action != GiveBack):
		t.Fatalf("%+v: does not restart: %+v", f, d)
	case d.Action == Reset && f.Spared:
		t.Fatalf("%+v: its disks are wiped: %+v", f, d)
	case d.Action == Wait && !f.Paused && f.Now.Sub(f.Since) >= patience:
		t.Fatalf("%+v: is waited for: %+v", f, d)
	case (acts || d.Action == Wait) && (d.Reason == "" || d.Message == ""), d.Action == Wait && d.After <= 0, acts && d.After != 0:
		t.Fatalf("%+v: the decision lacks a part: %+v", f, d)
	}
}
