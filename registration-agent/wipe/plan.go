package wipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Action is what happens to a disk.
type Action string

// The actions.
const (
	// Wipe clears the disk.
	Wipe Action = "wipe"
	// Kept leaves a disk alone because the policy says so.
	Kept Action = "keep"
	// Skip leaves a disk alone that is not the kind that is wiped.
	Skip Action = "skip"
)

// Plan is what happens to every disk of a machine.
type Plan struct {
	Disks []Step `json:"disks"`
	// Notes are what a person should know about the plan as a whole.
	Notes []string `json:"notes,omitempty"`
}

// Step is what happens to one disk, and why.
type Step struct {
	Disk   Identity `json:"disk"`
	Action Action   `json:"action"`
	// Method is how the disk is wiped; Erase how it erases itself, with method Secure.
	Method Method           `json:"method,omitempty"`
	Erase  disk.EraseMethod `json:"erase,omitempty"`
	// Fallback is used when the disk turns out not to do what Method needs.
	Fallback Method `json:"fallback,omitempty"`
	// Reason is for people.
	Reason string `json:"reason"`
	// Contents is what was on the disk when the plan was made.
	Contents []disk.Content `json:"contents,omitempty"`
}

// Identity is what a disk is recognised by when the plan is carried out.
type Identity struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Size    uint64 `json:"size"`
	Model   string `json:"model,omitempty"`
	Serial  string `json:"serial,omitempty"`
	WWID    string `json:"wwid,omitempty"`
	BusPath string `json:"busPath,omitempty"`
}

func identityOf(d disk.Disk) Identity {
	return Identity{Name: d.Name, Path: d.Path, Size: d.Size, Model: d.Model, Serial: d.Serial, WWID: d.WWID, BusPath: d.BusPath}
}

// PlanFor decides what happens to each disk. disks are as disk.Inspect returns them. An
// error means that the policy does not fit them: it says what to change, and nothing is
// to be wiped.
func PlanFor(disks []disk.Disk, policy Policy) (Plan, error) {
	if err := policy.Validate(); err != nil {
		return Plan{}, fmt.Errorf("plan wipe: %w", err)
	}
	policy = policy.withDefaults()
	chosen, err := policy.chosen(disks)
	for n := range chosen {
		if disks[n].ReadOnly {
			err = errors.Join(err, fmt.Errorf("%s is to be wiped, and is read-only", disks[n]))
		}
	}
	if err := errors.Join(err, policy.checkKept(disks)); err != nil {
		return Plan{}, fmt.Errorf("plan wipe: %w", err)
	}
	plan := Plan{Disks: make([]Step, 0, len(disks))}
	for n, d := range disks {
		step := Step{Disk: identityOf(d), Contents: d.Contents}
		step.Action, step.Reason = policy.decide(d, chosen[n])
		plan.Disks = append(plan.Disks, step)
	}
	for n := range plan.Disks {
		if plan.Disks[n].Action == Wipe {
			policy.method(&plan.Disks[n], disks[n], siblings(disks, n))
		}
	}
	plan.Notes = append(policy.unusedLabels(disks), plan.torn(disks)...)
	return plan, nil
}

// decide returns what happens to a disk. What keeps it comes before what wipes it.
func (p Policy) decide(d disk.Disk, chosen string) (Action, string) {
	if reason := p.keeps(d); reason != "" {
		return Kept, reason
	}
	switch {
	case p.Scope == None:
		return Kept, "no disk is to be wiped"
	case chosen != "":
		return Wipe, chosen
	case p.Scope == InstallDisk:
		return Kept, "it is not the install disk"
	case p.Scope == Selected:
		return Kept, "it is not selected"
	case d.ReadOnly:
		return Skip, "it is read-only"
	case d.RemovableMedium():
		return Skip, "it is a removable medium; select it by name to have it wiped"
	default:
		return Wipe, "all disks are to be wiped"
	}
}

func (p Policy) keeps(d disk.Disk) string {
	for _, serial := range p.Keep.Serials {
		if hasSerial(serial)(d) {
			return fmt.Sprintf("its serial number %q is to be kept", d.Serial)
		}
	}
	for _, label := range p.Keep.Labels {
		if hasLabel(label)(d) {
			return fmt.Sprintf("it has the label %q, which is to be kept", label)
		}
	}
	for _, choice := range p.Keep.Choices {
		if reason := choice.keeps(d); reason != "" {
			return reason
		}
	}
	// Nobody knows what is on it, and something may not be lost.
	if len(p.Keep.Labels) > 0 && d.Unreadable != "" {
		return fmt.Sprintf("labels are to be kept, and whether it has one cannot be read (%s)", d.Unreadable)
	}
	return ""
}

// checkKept reports serial numbers to keep that are not there.
func (p Policy) checkKept(disks []disk.Disk) error {
	var wrong []error
	for _, serial := range p.Keep.Serials {
		if !slices.ContainsFunc(disks, hasSerial(serial)) {
			wrong = append(wrong, fmt.Errorf("no disk has the serial number %q of keep.serials; the machine's disks are: %s", serial, list(disks)))
		}
	}
	return errors.Join(wrong...)
}

func (p Policy) unusedLabels(disks []disk.Disk) []string {
	var notes []string
	for _, label := range p.Keep.Labels {
		if !slices.ContainsFunc(disks, hasLabel(label)) {
			notes = append(notes, fmt.Sprintf("no disk has the label %q of keep.labels", label))
		}
	}
	return notes
}

// siblings are the other disks of the same controller. A command that reaches all of
// them is not sent even when all are wiped: it would come in the middle of the others'
// work.
func siblings(disks []disk.Disk, n int) []string {
	var siblings []string
	for m, d := range disks {
		if m != n && d.Controller != "" && d.Controller == disks[n].Controller {
			siblings = append(siblings, d.Path)
		}
	}
	return siblings
}

// method decides how a disk is wiped.
func (p Policy) method(step *Step, d disk.Disk, siblings []string) {
	step.Method = p.Method
	if p.Method == Discard || p.Method == Secure {
		step.Fallback = p.Fallback
	}
	switch {
	case p.Method == Discard && !d.Discard:
		p.fallBack(step, d, "the disk has no discard")
	case p.Method == Secure:
		erase, reason := usable(d, siblings)
		if reason != "" {
			p.fallBack(step, d, reason)
			return
		}
		step.Erase = erase
		step.Reason += fmt.Sprintf("; the disk erases itself by %s", erase)
	}
}

// usable returns the first way to erase that reaches this disk alone, or why there is
// none.
func usable(d disk.Disk, siblings []string) (disk.EraseMethod, string) {
	reason := d.NoErase
	for _, way := range d.Erase {
		if way.Wide && len(siblings) > 0 {
			reason = fmt.Sprintf("its %s would reach %s too", way.Method, strings.Join(siblings, ", "))
			continue
		}
		return way.Method, ""
	}
	if reason == "" {
		reason = "the disk has no command to erase itself"
	}
	return "", reason
}

func (p Policy) fallBack(step *Step, d disk.Disk, reason string) {
	step.Method, step.Fallback = p.Fallback, ""
	if step.Method == Discard && !d.Discard {
		step.Method = Fast
	}
	step.Reason += fmt.Sprintf("; %s in place of %s, because %s", step.Method, p.Method, reason)
}

// torn finds what spans disks of which only some are wiped.
func (p Plan) torn(disks []disk.Disk) []string {
	type span struct{ wiped, kept []string }
	spans := map[string]*span{}
	for n, d := range disks {
		for _, holder := range d.Holders {
			if spans[holder] == nil {
				spans[holder] = &span{}
			}
			if p.Disks[n].Action == Wipe {
				spans[holder].wiped = append(spans[holder].wiped, d.Path)
			} else {
				spans[holder].kept = append(spans[holder].kept, d.Path)
			}
		}
	}
	var notes []string
	for holder, span := range spans {
		if len(span.wiped) > 0 && len(span.kept) > 0 {
			notes = append(notes, fmt.Sprintf("%s lies on %s, to be wiped, and on %s, not to be wiped: it loses a part",
				holder, strings.Join(span.wiped, ", "), strings.Join(span.kept, ", ")))
		}
	}
	slices.Sort(notes)
	return notes
}
