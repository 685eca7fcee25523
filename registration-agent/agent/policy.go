package agent

import (
	"strings"
	"unicode/utf8"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// The appliance takes texts of 512 bytes and requests of 256 KiB; a machine with
// hundreds of disks tells less of each.
const (
	longest  = 500
	shortest = 60
	manyFrom = 100
)

// What happens to a disk, and how far it is, in the protocol's words.
const (
	actionWipe = "wipe"
	actionKeep = "keep"

	statePlanned = "planned"
	stateRunning = "running"
	stateDone    = "done"
	stateFailed  = "failed"
)

// policyOf turns what the appliance says into what is planned by. A word that this
// agent does not know makes no plan.
func policyOf(told *api.WipePolicy) wipe.Policy {
	policy := wipe.Policy{Scope: wipe.Scope(told.GetDisks()), Method: wipe.Method(told.GetMethod())}
	if told.GetInstallDisk() != nil {
		choice := choiceOf(told.GetInstallDisk())
		policy.Install = &wipe.Hint{Choice: &choice}
	}
	if len(told.GetSelected()) > 0 {
		policy.Select = &wipe.Selection{Choices: choicesOf(told.GetSelected())}
	}
	policy.Keep.Choices = choicesOf(told.GetKeep())
	return policy
}

func choicesOf(told []*api.DiskSelector) []wipe.Choice {
	var choices []wipe.Choice
	for _, selector := range told {
		choices = append(choices, choiceOf(selector))
	}
	return choices
}

func choiceOf(told *api.DiskSelector) wipe.Choice {
	return wipe.Choice{
		Name: told.GetName(), Serial: told.GetSerial(), WWID: told.GetWwid(), Model: told.GetModel(), Type: told.GetType(),
		BusPath: told.GetBusPath(), Label: told.GetLabel(),
		MinSize: uint64(max(told.GetMinSize(), 0)), MaxSize: uint64(max(told.GetMaxSize(), 0)),
	}
}

// tellPlan is the plan as the appliance is told it.
func tellPlan(plan wipe.Plan) *api.Plan {
	told := &api.Plan{}
	room := roomFor(len(plan.Disks))
	for _, step := range plan.Disks {
		action := actionKeep
		if step.Action == wipe.Wipe {
			action = actionWipe
		}
		told.Disks = append(told.Disks, &api.PlannedDisk{
			Name: step.Disk.Name, Description: cut(step.Disk.String(), room), Action: action,
			Method: string(step.Method), Reason: cut(step.Reason, room),
		})
	}
	return told
}

// tellProblem is told in place of a plan, with the disks that there are.
func tellProblem(disks []disk.Disk, problem error) *api.Plan {
	told := &api.Plan{Problem: cut(problem.Error(), longest)}
	room := roomFor(len(disks))
	for _, d := range disks {
		told.Disks = append(told.Disks, &api.PlannedDisk{
			Name: d.Name, Description: cut(d.String(), room), Action: actionKeep, Reason: "nothing is wiped while there is a problem",
		})
	}
	return told
}

// tellDisk is how far a disk is.
func tellDisk(step wipe.Step, progress wipe.Progress, room int) *api.WipedDisk {
	states := map[wipe.State]string{
		wipe.Waiting: statePlanned, wipe.Wiping: stateRunning, wipe.Verifying: stateRunning, wipe.Done: stateDone, wipe.Failed: stateFailed,
	}
	told := &api.WipedDisk{
		Name: step.Disk.Name, State: states[progress.State], Method: string(progress.Method),
		Done: bytesOf(progress.Done), Total: bytesOf(progress.Total), Error: cut(progress.Error, room),
	}
	if len(progress.Notes) > 0 {
		told.Reason = cut(step.Reason+"; "+strings.Join(progress.Notes, "; "), room)
	}
	return told
}

func bytesOf(n uint64) int64 { return int64(min(n, 1<<63-1)) }

func roomFor(disks int) int {
	if disks > manyFrom {
		return shortest
	}
	return longest
}

// cut keeps a text within so many bytes, and makes it fit for protobuf.
func cut(text string, room int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= room {
		return text
	}
	end := room - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
